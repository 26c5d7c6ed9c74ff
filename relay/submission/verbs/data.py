"""DATA (RFC 5321 §4.1.1.4): the message itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.framing import Content

if TYPE_CHECKING:
    from relay.submission.server import Server

LEAST_RESERVED = 64 * 1024


def data(server: Server, _argument: str) -> Reply:
    """Ask for the message, if there is anybody to send it to and room to hold it."""
    transaction = server.envelope
    if transaction.sender is None:
        return replies.MAIL_FIRST
    if not transaction.recipients:
        refused = transaction.has_refused_recipients
        return replies.NO_VALID_RECIPIENT if refused else replies.RECIPIENT_FIRST
    if not server.reservation.grow_to(_declared_or_least(server)):
        return replies.NO_ROOM
    server.expect_content(server.limits_size)
    return replies.GO_AHEAD


def _declared_or_least(server: Server) -> int:
    """How much memory to set aside before the first octet: more is taken as it comes."""
    declared = server.envelope.parameters.get("size_declared")
    expected = declared if isinstance(declared, int) else LEAST_RESERVED
    return min(max(expected, LEAST_RESERVED), server.limits_size)


async def take_content(server: Server, content: Content) -> Reply:
    """Give the message to the handler; whatever comes of it, the transaction is over."""
    try:
        if content.octets is None:
            return replies.NO_ROOM if server.ran_out_of_memory else replies.MESSAGE_TOO_LARGE
        server.envelope.content = content.octets
        return await server.hook("DATA") or replies.QUEUED
    finally:
        server.reservation.release()
        server.begin_transaction()
