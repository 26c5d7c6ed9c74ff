"""STARTTLS (RFC 3207)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.config import TlsMode
from relay.mail.reply import Reply
from relay.submission import replies

if TYPE_CHECKING:
    from relay.submission.server import Server


def starttls(server: Server, _argument: str) -> Reply | None:
    """Begin TLS; everything said or heard before it is forgotten (RFC 3207 §4.2)."""
    if server.wire.has_tls:
        return replies.ALREADY_SECURE
    if server.port.listener.tls is TlsMode.NONE:
        return replies.TLS_NOT_OFFERED
    server.start_tls()
    return None
