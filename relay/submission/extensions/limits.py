"""LIMITS (RFC 9422): how much may be asked of one transaction, so that clients need not find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.submission.extensions.base import Extension

if TYPE_CHECKING:
    from relay.submission.server import Server


def _announce(server: Server) -> str | None:
    most = server.door.limits().max_recipients
    return f"LIMITS RCPTMAX={most}" if most else None


LIMITS = Extension(_announce)
