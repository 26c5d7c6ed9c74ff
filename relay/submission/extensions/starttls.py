"""STARTTLS (RFC 3207) is offered until TLS is on, on every port that is not plain by decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.config import TlsMode
from relay.submission.extensions.base import Extension

if TYPE_CHECKING:
    from relay.submission.server import Server


def _announce(server: Server) -> str | None:
    is_offered = not server.wire.has_tls and server.port.listener.tls is not TlsMode.NONE
    return "STARTTLS" if is_offered else None


STARTTLS = Extension(_announce)
