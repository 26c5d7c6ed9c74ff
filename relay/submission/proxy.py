r"""The PROXY protocol, versions 1 and 2: the first octets by which a balancer says who its client is.

Octets in, value out: no sockets, no waiting.  The specification is HAProxy's proxy-protocol.txt (2.3 of
2024).  A header that is not wholly understood is refused, never guessed at: who may write one may say
to be anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Version 1 is one line of at most 107 octets (§2.1); version 2 is held to 536, the size that every
# network carries in one piece (§2.2), though its length field could say 65,551.
MAX_LINE_OCTETS = 107
MAX_OCTETS = 536

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_WORD = b"PROXY "
_FIXED_OCTETS = 16  # signature, version and command, family and protocol, length
_NUMBER = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) " + _NUMBER + b" " + _NUMBER)
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [ -~]*)?")
_LOCAL, _PROXIED = 0x20, 0x21  # the version, and what the balancer does
_STREAM = 1
# By family: octets of one address, and of the whole block of addresses and ports.  UNSPEC has none.
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_SIZES = {_UNSPEC: (0, 0), _INET: (4, 12), _INET6: (16, 36), _UNIX: (108, 216)}


class BadProxyHeader(ValueError):
    """The first octets are no header of the PROXY protocol; the message says why."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where the balancer's client is."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header: how many octets it has, and the client that it names.

    It names none where the balancer speaks for itself, or for a client that has no address.
    """

    length: int
    client: Client | None


def read_header(octets: bytes) -> ProxyHeader | None:
    """Read the header at the head of *octets*; None while it has not come whole.

    Raises BadProxyHeader as soon as it cannot become one any more.
    """
    if octets.startswith(_SIGNATURE):
        return _read_binary(octets)
    if octets.startswith(_WORD):
        return _read_line(octets)
    if _SIGNATURE.startswith(octets) or _WORD.startswith(octets):
        return None
    raise BadProxyHeader("the connection did not begin with a PROXY header")


def _read_line(octets: bytes) -> ProxyHeader | None:
    end = octets.find(b"\r\n", 0, MAX_LINE_OCTETS)
    if end < 0:
        if len(octets) >= MAX_LINE_OCTETS:
            raise BadProxyHeader(f"the PROXY line is longer than {MAX_LINE_OCTETS} octets")
        return None
    line = octets[:end]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(end + 2, None)
    found = _LINE.fullmatch(line)
    if found is None:
        raise BadProxyHeader("the PROXY line is not written as the protocol asks")
    family, *addresses = (part.decode("ascii") for part in found.group(1, 2, 3))
    source, _ = (_address(text, IPv4Address if family == "TCP4" else IPv6Address) for text in addresses)
    ports = [int(text) for text in found.group(4, 5)]
    if max(ports) > 65535:
        raise BadProxyHeader("the PROXY line names a port beyond 65535")
    return ProxyHeader(end + 2, Client(source, ports[0]))


def _address(text: str, kind: type[IPv4Address | IPv6Address]) -> str:
    try:
        return plain_address(str(kind(text)))
    except ValueError:
        raise BadProxyHeader("the PROXY line names an address that is none") from None


def _read_binary(octets: bytes) -> ProxyHeader | None:
    if len(octets) < _FIXED_OCTETS:
        return None
    command, kind = octets[12], octets[13]
    length = _FIXED_OCTETS + int.from_bytes(octets[14:16], "big")
    if command not in {_LOCAL, _PROXIED}:
        raise BadProxyHeader("the PROXY header is neither LOCAL nor PROXY of version 2")
    if length > MAX_OCTETS:
        raise BadProxyHeader(f"the PROXY header is longer than {MAX_OCTETS} octets")
    if len(octets) < length:
        return None
    if command == _LOCAL:  # the balancer itself, to see whether we live; what follows is to be ignored
        return ProxyHeader(length, None)
    family, protocol = kind >> 4, kind & 15
    if family not in _SIZES or protocol > 2:
        raise BadProxyHeader("the PROXY header names a family or protocol that there is not")
    each, block = _SIZES[family]
    if length < _FIXED_OCTETS + block:
        raise BadProxyHeader("the PROXY header is too short for its addresses")
    # What follows the addresses (TLVs: the client's certificate, a checksum …) tells nothing that we use.
    if family in {_UNSPEC, _UNIX} or protocol != _STREAM:
        return ProxyHeader(length, None)
    source = octets[_FIXED_OCTETS : _FIXED_OCTETS + each]
    ports = _FIXED_OCTETS + 2 * each
    address = IPv4Address(source) if family == _INET else IPv6Address(source)
    return ProxyHeader(
        length, Client(plain_address(str(address)), int.from_bytes(octets[ports : ports + 2], "big"))
    )


def plain_address(text: str) -> str:
    """Write an IPv4 address that came mapped into IPv6 (RFC 4291 §2.5.5.2) as what it is."""
    if ":" not in text or ("." not in text and "ffff" not in text.lower()):
        return text
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped) if mapped else text


def is_within(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether *address* lies in one of *networks*; what is no address (a UNIX socket's) lies in none."""
    try:
        known = ip_address(plain_address(address))
    except ValueError:
        return False
    return any(known in network for network in networks)
