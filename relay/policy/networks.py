"""From where a user may come."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_SEPARATORS = re.compile(r"[;,\s]+")
_MAPPED = 96  # the bits before an IPv4 address that is written as one of IPv6


class BadNetwork(ValueError):
    """A word is neither an address nor a network; the message names it."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Some networks, as CIDR prefixes ("192.0.2.0/24", "2001:db8::/32")."""

    prefixes: tuple[str, ...]
    _parsed: tuple[IPv4Network | IPv6Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parsed", tuple(ip_network(prefix) for prefix in self.prefixes))

    def hold(self, address: str) -> bool:
        """Whether *address* lies in one of them; an IPv4 address mapped into IPv6 is that IPv4 address."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._parsed)


def parse_networks(text: str | Iterable[str]) -> Networks:
    """Read networks, separated by `;`, `,` or white space; an address is a network of its own.

    Raises BadNetwork, naming the first that is none, or that has bits set beyond its prefix.
    """
    words = _SEPARATORS.split(text) if isinstance(text, str) else text
    return Networks(tuple(dict.fromkeys(_prefix(word) for word in words if word)))


def _prefix(word: str) -> str:
    try:
        return str(_plain(ip_network(word)))
    except ValueError as fault:
        raise BadNetwork(f'"{word}" is no address or network: {fault}') from None


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network of IPv4 addresses mapped into IPv6 (RFC 4291 §2.5.5.2) as what it is."""
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
    if mapped is None or network.prefixlen < _MAPPED:
        return network
    return ip_network((mapped, network.prefixlen - _MAPPED))
