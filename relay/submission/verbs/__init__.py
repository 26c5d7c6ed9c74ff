"""The server's table of contents: every command, what must have come before it, and who answers it.

A verb's function returns its Reply at once, or is a coroutine that does; None if it has said all
itself.  What may stand in a command's way is in the table, so that a function can trust its state.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay.config import TlsMode
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.verbs.auth import auth
from relay.submission.verbs.data import data
from relay.submission.verbs.hello import ehlo, helo
from relay.submission.verbs.mail import mail
from relay.submission.verbs.rcpt import rcpt
from relay.submission.verbs.simple import expn, help_, noop, quit_, rset, vrfy
from relay.submission.verbs.starttls import starttls

if TYPE_CHECKING:
    from relay.submission.server import Server

Answer = Reply | Coroutine[Any, Any, Reply | None] | None


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: who answers it, and what it needs before."""

    run: Callable[[Server, str], Answer]
    needs_hello: bool = False
    needs_tls: bool = False  # where the port requires TLS
    needs_login: bool = False
    takes_argument: bool = True


VERBS: Mapping[bytes, Verb] = {
    b"EHLO": Verb(ehlo),
    b"HELO": Verb(helo),
    b"STARTTLS": Verb(starttls, needs_hello=True, takes_argument=False),
    b"AUTH": Verb(auth, needs_hello=True, needs_tls=True),
    b"MAIL": Verb(mail, needs_hello=True, needs_tls=True, needs_login=True),
    b"RCPT": Verb(rcpt, needs_hello=True, needs_tls=True, needs_login=True),
    b"DATA": Verb(data, needs_hello=True, needs_tls=True, needs_login=True, takes_argument=False),
    b"RSET": Verb(rset, takes_argument=False),
    b"NOOP": Verb(noop),
    b"QUIT": Verb(quit_, takes_argument=False),
    b"HELP": Verb(help_),
    b"VRFY": Verb(vrfy, needs_tls=True, needs_login=True),
    b"EXPN": Verb(expn, needs_tls=True, needs_login=True),
}


def obstacle(server: Server, verb: Verb, argument: str) -> Reply | None:
    """What stands in the way of *verb* in this session, if anything (RFC 5321 §4.1.4, RFC 4954 §6)."""
    if argument and not verb.takes_argument:
        return replies.NO_ARGUMENT_TAKEN
    if verb.needs_hello and not server.session.facts.helo:
        return replies.SAY_HELLO_FIRST
    if verb.needs_tls and server.tls is None and server.port.listener.tls is TlsMode.STARTTLS_REQUIRED:
        return replies.TLS_NEEDED
    if verb.needs_login and server.session.user is None:
        return replies.LOGIN_NEEDED
    return None
