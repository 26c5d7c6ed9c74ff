"""Where a client is, roughly: the network that it probably shares with its owner's other programs."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_V4_PREFIX, _V6_PREFIX = 24, 64


def neighbourhood(address: str) -> str:
    """Return the /24 or the /64 of *address*; what is no address (a UNIX socket's) is its own."""
    try:
        known = _plain(address)
    except ValueError:
        return address[:64]
    length = _V6_PREFIX if isinstance(known, IPv6Address) else _V4_PREFIX
    return str(ip_network((known, length), strict=False))


def household(address: str) -> str:
    """Return what one client is known by: its address, or the /64 in which it may have any of IPv6."""
    return neighbourhood(address) if ":" in address else address


def is_loopback(address: str) -> bool:
    """Whether *address* is this machine's own; what is no address counts as that."""
    try:
        return _plain(address).is_loopback
    except ValueError:
        return True


def _plain(text: str) -> IPv4Address | IPv6Address:
    """The address, an IPv4 one that came mapped into IPv6 (RFC 4291 §2.5.5.2) as what it is."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
