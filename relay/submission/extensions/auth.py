"""AUTH (RFC 4954) is announced where it would be accepted: behind TLS, or where the listener allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.submission.extensions.base import Extension
from relay.submission.mechanisms import MECHANISMS

if TYPE_CHECKING:
    from relay.submission.server import Server


def may_authenticate(server: Server) -> bool:
    """Whether passwords may be sent in this session as it is now."""
    return server.tls is not None or server.port.listener.auth_without_tls


def _announce(server: Server) -> str | None:
    return "AUTH " + " ".join(MECHANISMS) if may_authenticate(server) else None


AUTH = Extension(_announce)
