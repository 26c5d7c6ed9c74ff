"""REQUIRETLS (RFC 8689): the message must not leave over a connection that is not secured and verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension, Greeting

if TYPE_CHECKING:
    from relay.submission.server import Server


def _announce(greeting: Greeting) -> str | None:
    """Only behind TLS: whoever hands the message in by other ways has not kept to it himself (§2)."""
    return "REQUIRETLS" if greeting.has_tls else None


def _require_tls(server: Server, value: str) -> Mapping[str, Any]:
    if not server.wire.has_tls:
        raise BadParameter(replies.UNKNOWN_PARAMETER.saying("REQUIRETLS needs TLS here, too"))
    if value:
        raise BadParameter(replies.BAD_PARAMETER.saying("REQUIRETLS takes no value"))
    return {"require_tls": True}


REQUIRE_TLS = Extension(_announce, mail_parameters={"REQUIRETLS": _require_tls})
