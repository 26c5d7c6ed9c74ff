"""STARTTLS (RFC 3207) is offered until TLS is on, on every port that is not plain by decision."""

from __future__ import annotations

from relay.config import TlsMode
from relay.submission.extensions.base import Extension, Greeting


def _announce(greeting: Greeting) -> str | None:
    is_offered = not greeting.has_tls and greeting.tls is not TlsMode.NONE
    return "STARTTLS" if is_offered else None


STARTTLS = Extension(_announce)
