"""Which servers take a domain's mail, and in which order they are tried (RFC 5321 §5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from random import Random

from relay.delivery.classify_dns import (
    cannot_ask,
    comes_back,
    no_exchanger,
    no_such_domain,
    no_usable_exchanger,
    takes_no_mail,
)
from relay.delivery.resolver import CannotAsk, Exchanger, NoSuchName, Resolver

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


async def exchangers_of(domain: str, resolver: Resolver, *, own_name: str, rng: Random) -> Sequence[str]:
    """The hosts that take mail for *domain* (in its ASCII form, or an address literal), best first.

    Raises Trouble, to be told to those at that domain.
    """
    if domain.startswith("["):
        return (str(ip_address(domain[1:-1].removeprefix("ipv6:"))),)
    try:
        found = await resolver.exchangers(domain)
        if not found and not await resolver.addresses(domain):
            raise no_exchanger(domain)
    except NoSuchName:
        raise no_such_domain(domain) from None
    except CannotAsk as fault:
        raise cannot_ask(str(fault)) from fault
    if not found:
        found = [Exchanger(0, domain)]  # the implicit MX
    if not any(exchanger.host for exchanger in found):
        raise takes_no_mail(domain)
    hosts = in_order(found, own_name=own_name, rng=rng)
    if not hosts:
        is_ours = any(exchanger.host == own_name for exchanger in found)
        raise comes_back(domain) if is_ours else no_usable_exchanger(domain)
    return hosts


def in_order(found: Sequence[Exchanger], *, own_name: str, rng: Random) -> Sequence[str]:
    """The hosts to try: by preference, and by chance where that is the same.

    Where we are named ourselves, only those count that are preferred to us: the others would bring
    the mail back here.  A name that is none of a host, or is an address, is passed over.
    """
    limit = min((each.preference for each in found if each.host == own_name), default=None)
    usable = [each for each in found if _is_host(each.host) and (limit is None or each.preference < limit)]
    shuffled = rng.sample(usable, len(usable))
    by_preference = sorted(shuffled, key=lambda each: each.preference)
    return tuple(dict.fromkeys(each.host for each in by_preference))


def _is_host(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return len(name) <= 253 and _HOST.fullmatch(name) is not None
    return False
