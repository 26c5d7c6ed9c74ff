"""The trace that we leave on top of each message we take (RFC 5321 §4.4)."""

from __future__ import annotations

import re
from datetime import datetime

from relay.mail.address import Address
from relay.mail.dates import date_text
from relay.mail.session import Session

_MAX_HELO = 255
_NOT_IN_HELO = re.compile(r"[^A-Za-z0-9.:_\[\]-]")


def received_field(
    session: Session,
    *,
    hostname: str,
    message_id: str,
    now: datetime,
    recipient: Address | None,
    smtputf8: bool,
    reveal_client: bool,
) -> bytes:
    """Write the Received field; never the user's name.

    *recipient* is named if given, so give it only where there is one: others must not learn of each
    other.  Without *reveal_client* we name ourselves where the client stands, because the grammar
    wants a `from` and the client's address is nobody's business.
    """
    came_from = f"{_cleaned(session.helo)} ({_literal(session.peer_address)})" if reveal_client else hostname
    # RFC 6531 §4.3 registers UTF8SMTP, UTF8SMTPS, UTF8SMTPA and UTF8SMTPSA beside RFC 3848's keywords.
    keyword = f"UTF8{session.protocol.removeprefix('E')}" if smtputf8 else session.protocol
    tls = f" ({session.tls})" if session.tls else ""
    # A domain is named in ASCII: this field alone must not bar the way over upstreams without SMTPUTF8.
    named = recipient.plainest if recipient is not None else ""
    wanted_by = f"\r\n\tfor <{named}>" if named and (smtputf8 or named.isascii()) else ""
    return (
        f"Received: from {came_from}\r\n\tby {hostname} with {keyword}{tls} id {message_id}"
        f"{wanted_by};\r\n\t{date_text(now)}\r\n"
    ).encode()


def _cleaned(helo: str) -> str:
    """The client's own name for itself, without anything that could end a word, a comment or a line."""
    return _NOT_IN_HELO.sub("?", helo[:_MAX_HELO]) or "unknown"


def _literal(peer_address: str) -> str:
    """The address as RFC 5321 §4.1.3 writes it; an IPv4 address seen through IPv6 as what it is."""
    plain = peer_address.removeprefix("::ffff:") if "." in peer_address else peer_address
    plain = _NOT_IN_HELO.sub("?", plain)
    return f"[IPv6:{plain}]" if ":" in plain else f"[{plain}]"


def date_field(now: datetime) -> bytes:
    """Write the Date field that a message lacks (RFC 6409 §8.2)."""
    return f"Date: {date_text(now)}\r\n".encode("ascii")


def message_id_field(message_id: str, hostname: str) -> bytes:
    """Write the Message-ID field that a message lacks (RFC 6409 §8.3), from our own id."""
    return f"Message-ID: <{message_id}@{hostname}>\r\n".encode("ascii")
