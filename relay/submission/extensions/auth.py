"""AUTH (RFC 4954) is announced where it would be accepted: behind TLS, or where the listener allows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.submission import replies
from relay.submission.conversation import Circumstances
from relay.submission.extensions.base import BadParameter, Extension, Greeting
from relay.submission.mechanisms import offered

if TYPE_CHECKING:
    from relay.submission.server import Server

_XTEXT = re.compile(r"<>|(?:[!-*,-<>-~]|\+[0-9A-F]{2}){1,500}")  # RFC 3461 §4


def may_authenticate(server: Server) -> bool:
    """Whether passwords may be sent in this session as it is now."""
    return server.wire.has_tls or server.port.listener.auth_without_tls


def circumstances_of(server: Server) -> Circumstances:
    """What a mechanism may know of this session."""
    wanted = server.door.office.settings.value.offer_channel_binding
    end_point = server.wire.end_point if wanted else None
    has_issuer = server.door.issuer is not None
    return Circumstances(end_point, offers_binding=end_point is not None, has_issuer=has_issuer)


def mechanisms_for(server: Server) -> tuple[str, ...]:
    """The mechanisms by which the client may log in now."""
    return offered(circumstances_of(server)) if may_authenticate(server) else ()


def _announce(greeting: Greeting) -> str | None:
    return "AUTH " + " ".join(greeting.mechanisms) if greeting.mechanisms else None


def _auth(_server: Server, value: str) -> Mapping[str, Any]:
    """Who first submitted the message, in xtext, or "<>" (RFC 4954 §5): kept, and believed of nobody."""
    if not _XTEXT.fullmatch(value):
        raise BadParameter(replies.BAD_PARAMETER.saying("AUTH is an address in xtext, or <>"))
    return {"auth": value}


AUTH = Extension(_announce, mail_parameters={"AUTH": _auth})
