"""The commands that change little: RSET, NOOP, QUIT, VRFY, EXPN (RFC 5321 §4.1.1.5-10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.reply import Reply
from relay.submission import replies

if TYPE_CHECKING:
    from relay.submission.server import Server


def rset(server: Server, _argument: str) -> Reply:
    """Forget the transaction; the login stays (RFC 5321 §4.1.1.5)."""
    server.begin_transaction()
    return replies.OK


def noop(_server: Server, _argument: str) -> Reply:
    """Show that we are here."""
    return replies.OK


def quit_(_server: Server, _argument: str) -> Reply:
    """End the session; 221 closes it."""
    return replies.BYE


def vrfy(_server: Server, _argument: str) -> Reply:
    """Reveal nobody (RFC 5321 §7.3)."""
    return replies.CANNOT_VERIFY


def expn(_server: Server, _argument: str) -> Reply:
    """Reveal no list either."""
    return replies.NOT_IMPLEMENTED
