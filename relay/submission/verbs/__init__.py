"""The server's table of contents: every command, what must have come before it, and who answers it.

A verb's function returns its Reply at once, or is a coroutine that does; None if it has said all
itself.  What may stand in a command's way is in the table, so that a function can trust its state.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay.mail.address import without_joiners
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.verbs.auth import auth
from relay.submission.verbs.bdat import bdat
from relay.submission.verbs.data import data
from relay.submission.verbs.hello import ehlo, helo
from relay.submission.verbs.mail import mail
from relay.submission.verbs.needs import ADMISSION, HELLO, LOGIN, NOTHING, SECURITY, Needs, obstacle
from relay.submission.verbs.rcpt import rcpt
from relay.submission.verbs.simple import expn, noop, quit_, rset, vrfy
from relay.submission.verbs.starttls import starttls

if TYPE_CHECKING:
    from relay.submission.server import Server

Answer = Reply | Coroutine[Any, Any, Reply | None] | None


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: who answers it, and what it needs before."""

    run: Callable[[Server, str], Answer]
    needs: Needs = NOTHING
    takes_argument: bool = True


def help_(_server: Server, _argument: str) -> Reply:
    """Say what there is (RFC 5321 §4.1.1.8)."""
    return _HELP


VERBS: Mapping[bytes, Verb] = {
    b"EHLO": Verb(ehlo),
    b"HELO": Verb(helo),
    b"STARTTLS": Verb(starttls, HELLO, takes_argument=False),
    b"AUTH": Verb(auth, SECURITY),
    b"MAIL": Verb(mail, ADMISSION),
    b"RCPT": Verb(rcpt, LOGIN),
    b"DATA": Verb(data, LOGIN, takes_argument=False),
    b"BDAT": Verb(bdat),  # needs a login as well, but must take its chunk in any case
    b"RSET": Verb(rset, takes_argument=False),
    b"NOOP": Verb(noop),
    b"QUIT": Verb(quit_, takes_argument=False),
    b"HELP": Verb(help_),
    b"VRFY": Verb(vrfy, LOGIN),
    b"EXPN": Verb(expn, LOGIN),
}
_SERVED = " ".join(name.decode() for name, verb in VERBS.items() if verb.run is not expn)
_HELP = Reply(214, "0.0", f"Commands: {_SERVED} (RFC 5321, RFC 6409)")

# What a web page makes its visitors' browsers send to other ports: no mail program says these, and the
# lines that follow could be made to look like ours.
_OF_THE_WEB = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"PATCH", b"DELETE"})


def answer(server: Server, line: bytes) -> Answer:
    """Answer a command, or say what stands in its way."""
    name, _, rest = line.partition(b" ")
    name = name.upper()
    if (enough := server.tally.hear(name)) is not None:
        return enough
    try:
        argument = rest.decode().strip(" \t")
    except UnicodeDecodeError:
        return replies.BAD_OCTETS
    if argument and not (argument.isprintable() or without_joiners(argument).isprintable()):
        return replies.BAD_OCTETS
    verb = VERBS.get(name)
    if verb is None:
        return replies.NOT_MAIL if name in _OF_THE_WEB else replies.UNKNOWN_COMMAND
    if argument and not verb.takes_argument:
        return replies.NO_ARGUMENT_TAKEN
    # A login met all other needs before, and with TLS begins another session: they are not asked again.
    if server.session.user is None and (reply := obstacle(server, verb.needs)) is not None:
        return reply
    return verb.run(server, argument)
