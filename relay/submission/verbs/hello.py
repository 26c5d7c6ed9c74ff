"""EHLO and HELO (RFC 5321 §4.1.1.1): who the client is, and what both of us can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.extensions import announced

if TYPE_CHECKING:
    from relay.submission.server import Server

MAX_NAME_OCTETS = 255  # RFC 5321 §4.5.3.1.2


def ehlo(server: Server, name: str) -> Reply:
    """Greet a client that knows extensions, and name those that work in this session."""
    if not _greeted(server, name, is_esmtp=True):
        return replies.BAD_HELLO
    return announced(server)


def helo(server: Server, name: str) -> Reply:
    """Greet a client of the old kind."""
    if not _greeted(server, name, is_esmtp=False):
        return replies.BAD_HELLO
    return Reply(250, "", server.hostname)


def _greeted(server: Server, name: str, *, is_esmtp: bool) -> bool:
    """Note who the client says it is, which also resets the transaction; the login stays.

    Whatever it says is taken, as long as it is one word: mail programs behind home routers do not
    know their names (RFC 5321 §4.1.4 forbids refusing them for it).
    """
    if not name or " " in name or len(name.encode()) > MAX_NAME_OCTETS:
        return False
    session = server.session
    session.facts = session.facts._replace(helo=name, is_esmtp=is_esmtp)
    session.host_name, session.extended_smtp = name, is_esmtp
    server.begin_transaction()
    return True
