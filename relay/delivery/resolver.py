"""Asking DNS: the one place that does, and the one that knows dnspython.

Answers are kept as long as their TTL allows, also those that say that there is nothing, at most
`_MOST_KEPT` of them.  Resolvers follow aliases themselves (RFC 1034 §3.6.2), so what is found at
the end of them is what a name has.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from relay.routing.name_server import NameServer

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.resolver

SECONDS = 10.0  # for a question as a whole: every resolver, every way of asking
_SECONDS_EACH = 3.0  # until the next resolver is asked
_MOST_KEPT = 10_000
_MOST_ADDRESSES = 3  # of each family: a host with more would take all our time for itself
_UDP_OCTETS = 1232  # fits every road unfragmented (DNS flag day 2020)


class NoSuchName(LookupError):
    """There is no such name in DNS (NXDOMAIN), or it could not be one."""


class CannotAsk(OSError):
    """No name server gave an answer; the message says what they did instead."""


class Exchanger(NamedTuple):
    """What an MX record says; a lower preference goes first, and the host "" takes no mail (RFC 7505)."""

    preference: int
    host: str


class Resolver:
    """Asks *server*, or those of this machine if there is none; a question takes *seconds* at most.

    It may outlive an event loop: what it keeps belongs to none.
    """

    def __init__(self, server: NameServer | None = None, *, seconds: float = SECONDS) -> None:
        self._server = server
        self._seconds = seconds
        self._asking: dns.asyncresolver.Resolver | None = None

    async def exchangers(self, domain: str) -> list[Exchanger]:
        """The MX records of *domain*, in no order.  Raises NoSuchName or CannotAsk."""
        found = await self._ask(domain, "MX")
        return [Exchanger(record.preference, _host(record.exchange)) for record in found or ()]

    async def addresses(self, host: str) -> list[str]:
        """The addresses of *host*, a few of each family.  Raises NoSuchName or CannotAsk.

        Those of IPv4 first: over IPv6 many refuse mail for good from a machine without a name of its own.
        """
        asked = (self._ask(host, "A"), self._ask(host, "AAAA"))
        fours, sixes = await asyncio.gather(*asked, return_exceptions=True)
        found = [
            record.address
            for answer in (fours, sixes)
            if answer is not None and not isinstance(answer, BaseException)
            for record in list(answer)[:_MOST_ADDRESSES]
        ]
        fault = next((each for each in (fours, sixes) if isinstance(each, BaseException)), None)
        if fault is not None and not found:
            raise fault
        return found

    async def texts(self, name: str) -> list[bytes]:
        """The TXT records of *name*, the strings of each joined.  Raises NoSuchName or CannotAsk."""
        return [b"".join(record.strings) for record in await self._ask(name, "TXT") or ()]

    async def is_out(self) -> bool:
        """Whether nobody can be asked about anything at present, not even about the root."""
        try:
            await Resolver(self._server, seconds=self._seconds)._ask("", "NS")  # noqa: SLF001  nothing kept
        except NoSuchName:
            return False
        except CannotAsk:
            return True
        return False

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """The records of one kind; None if there are none."""
        import dns.exception  # noqa: PLC0415  only where DNS is asked: it takes time and memory
        import dns.name  # noqa: PLC0415  likewise
        import dns.resolver  # noqa: PLC0415  likewise

        try:
            return await self._made().resolve(f"{name.rstrip('.')}.", kind, lifetime=self._seconds)
        except dns.resolver.NoAnswer:
            return None
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            raise NoSuchName(f"there is no {name} in DNS") from None
        except (dns.exception.DNSException, OSError) as fault:
            raise CannotAsk(f"DNS could not be asked for {name}: {_in_words(fault)}") from fault

    def _made(self) -> dns.asyncresolver.Resolver:
        """The resolver, as soon as it is needed.  Raises NoResolverConfiguration."""
        import dns.asyncresolver  # noqa: PLC0415  see `_ask`
        import dns.nameserver  # noqa: PLC0415  likewise
        import dns.resolver  # noqa: PLC0415  likewise

        if self._asking is None:
            asking = dns.asyncresolver.Resolver(configure=self._server is None)
            if self._server is not None:
                asking.nameservers = [dns.nameserver.Do53Nameserver(*self._server)]
            asking.timeout = _SECONDS_EACH
            asking.use_edns(0, 0, _UDP_OCTETS)
            asking.cache = dns.resolver.LRUCache(_MOST_KEPT)
            self._asking = asking
        return self._asking


def _host(name: object) -> str:
    return str(name).rstrip(".").lower()


def _in_words(fault: Exception) -> str:
    import dns.exception  # noqa: PLC0415  see `Resolver._ask`
    import dns.resolver  # noqa: PLC0415  likewise

    match fault:
        case dns.exception.Timeout():
            return "no name server answered in time"
        case dns.resolver.NoNameservers():
            return "the name servers cannot answer (SERVFAIL or the like)"
        case dns.resolver.NoResolverConfiguration():
            return "this machine has no name server set in /etc/resolv.conf"
        case _:
            return str(fault) or type(fault).__name__
