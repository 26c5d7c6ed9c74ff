"""A name server of one's own to ask, as operators write it: "192.0.2.53" or "192.0.2.53:5353"."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

_DNS_PORT = 53


class BadNameServer(ValueError):
    """The text names no name server; the message says how it is written."""


class NameServer(NamedTuple):
    """Where to ask."""

    address: str
    port: int = _DNS_PORT

    @classmethod
    def parse(cls, text: str) -> NameServer:
        """Read "ADDRESS" or "ADDRESS:PORT", IPv6 with a port in brackets.  Raises BadNameServer."""
        address, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or (":" in address and not address.startswith("[")):
            address, port = text, str(_DNS_PORT)
        try:
            found = cls(str(ip_address(address.removeprefix("[").removesuffix("]"))), int(port))
        except ValueError:
            found = cls("", 0)
        if not 1 <= found.port <= 65535:
            raise BadNameServer(
                f'"{text}" is no name server: give its IP address, and its port if that is not 53, '
                "such as 192.0.2.53 or [2001:db8::53]:5353."
            )
        return found
