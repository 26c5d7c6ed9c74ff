"""Whether the record that publishes a key is there, and right."""

from __future__ import annotations

from typing import NamedTuple

from relay.delivery.resolver import CannotAsk, NoSuchName, Resolver
from relay.mail.dkim import BadRecord, published_key
from relay.routing.dkim_keys import Key


class Verdict(NamedTuple):
    """How the record stands, in a sentence."""

    is_good: bool
    told: str


async def check_record(key: Key, resolver: Resolver) -> Verdict:
    """Look the record of *key* up."""
    try:
        found = await resolver.texts(key.record_name)
    except NoSuchName:
        found = []
    except CannotAsk as fault:
        return Verdict(is_good=False, told=f"{fault}.")
    if not found:
        return Verdict(is_good=False, told="There is no such record yet; it may take a while to be seen.")
    if len(found) > 1:
        return Verdict(is_good=False, told=f"There are {len(found)} TXT records where one belongs.")
    try:
        kind, public = published_key(found[0].decode("utf-8", "replace"))
    except BadRecord as fault:
        return Verdict(is_good=False, told=f"The record is not right: {fault}.")
    if kind != key.algorithm.key_type:
        return Verdict(
            is_good=False, told=f"The record is of a key for {kind}, not {key.algorithm.key_type}."
        )
    if public != key.public_key:
        return Verdict(is_good=False, told="The record publishes another key.")
    return Verdict(is_good=True, told="The record is there, and right.")
