"""Upstreams, envelopes and letters for the tests of this room."""

import ssl
from datetime import timedelta
from typing import Any

import trustme

from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.routing.options import Options
from relay.routing.upstreams import Kind, Tls, Upstream

LETTER = b"From: ann@example.com\r\nSubject: Tea\r\n\r\nAt five?\r\n"


def upstream_at(port: int, **changed: Any) -> Upstream:
    """An upstream on this machine, in the clear, that is given up after two seconds of silence."""
    facts: dict[str, Any] = {
        "id": "U1",
        "name": "next",
        "kind": Kind.SMTP,
        "host": "127.0.0.1",
        "port": port,
        "tls": Tls.NONE,
        "timeout": timedelta(seconds=2),
        "concurrency": 2,
    }
    return Upstream(**(facts | changed))


def direct_at(port: int, resolver: str, **changed: Any) -> Upstream:
    """Direct delivery to a *port* of this machine, by what the name server at *resolver* says."""
    facts = {"kind": Kind.MX, "host": "", "tls": Tls.OPPORTUNISTIC, "options": Options(resolver=resolver)}
    return upstream_at(port, **(facts | changed))


def envelope_to(*recipients: str, sender: str = "ann@example.com", **more: Any) -> Envelope:
    """An envelope to these, numbered from 1; without a domain they are at example.net."""
    addresses = [Address.parse(r if "@" in r else f"{r}@example.net") for r in recipients]
    numbered = tuple(Recipient(number, address) for number, address in enumerate(addresses, 1))
    return Envelope(Address.parse(sender) if sender else Address.NULL, numbered, **more)


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's TLS with a certificate of *authority* for *names*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
