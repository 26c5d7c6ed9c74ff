"""What must have come before a command (RFC 5321 §4.1.4, RFC 4954 §6, RFC 6409 §4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.config import TlsMode
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.trust import trusted_as

if TYPE_CHECKING:
    from relay.submission.server import Server


@dataclass(frozen=True, slots=True)
class Needs:
    """EHLO; TLS, where the port requires it; a login, `or_trust` in the network that the client is in."""

    hello: bool = False
    tls: bool = False
    login: bool = False
    or_trust: bool = False


NOTHING = Needs()
HELLO = Needs(hello=True)
SECURITY = Needs(hello=True, tls=True)
LOGIN = Needs(hello=True, tls=True, login=True)
ADMISSION = Needs(hello=True, tls=True, login=True, or_trust=True)


def obstacle(server: Server, needs: Needs) -> Reply | None:
    """What of *needs* is not there in this session, if anything."""
    if needs.hello and not server.session.facts.helo:
        return replies.SAY_HELLO_FIRST
    if needs.tls and not server.wire.has_tls and server.port.listener.tls is TlsMode.STARTTLS_REQUIRED:
        return replies.TLS_NEEDED
    if needs.login and server.session.user is None:
        return None if needs.or_trust and trusted_as(server) is not None else replies.LOGIN_NEEDED
    return None
