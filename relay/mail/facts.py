"""What the product wants to know of a message's header, besides what policy checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relay.mail import priority
from relay.mail.header import Header
from relay.mail.priority import Priority

_TAGS = ("x-relay-tag", "x-mailgun-tag", "x-pm-tag")  # of several the first counts


class Facts(NamedTuple):
    """The header in a few words, each at most as long as its column."""

    subject: str | None
    header_from: str | None
    message_id: str | None
    tag: str | None
    priorities: Mapping[str, Priority]  # by the name of the field that names it


def facts_of(header: Header) -> Facts:
    """Read what the queue's pages and the priority need; of a field that is there twice, the first.

    Of a priority, the highest.
    """
    return Facts(
        subject=_text(header, "subject", 255),
        header_from=_text(header, "from", 320),
        message_id=_text(header, "message-id", 255),
        tag=_tag(header),
        priorities={} if priority.FIELDS.isdisjoint(header.by_name) else _priorities(header),
    )


def _text(header: Header, name: str, length: int) -> str | None:
    fields = header.by_name.get(name)
    return fields[0].text[:length] if fields else None


def _tag(header: Header) -> str | None:
    for name in _TAGS:
        if name in header.by_name:
            return _text(header, name, 128)
    return None


def _priorities(header: Header) -> dict[str, Priority]:
    return {
        name: min(levels)
        for name, fields in header.by_name.items()
        if name in priority.FIELDS
        and (levels := [level for field in fields if (level := priority.from_field(name, field.text))])
    }
