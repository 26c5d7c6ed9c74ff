"""LIMITS (RFC 9422): how much may be asked of one transaction, so that clients need not find out."""

from __future__ import annotations

from relay.submission.extensions.base import Extension, Greeting


def _announce(greeting: Greeting) -> str | None:
    most = greeting.limits.max_recipients
    return f"LIMITS RCPTMAX={most}" if most else None


LIMITS = Extension(_announce)
