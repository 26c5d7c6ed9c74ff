"""DATA (RFC 5321 §4.1.1.4): the message itself."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.framing import Content
from relay.submission.replies import as_reply

if TYPE_CHECKING:
    from relay.submission.server import Server

LEAST_RESERVED = 64 * 1024


def data(server: Server, _argument: str) -> Reply | Coroutine[Any, Any, Reply]:
    """Ask for the message, if there is anybody to send it to and room to hold it."""
    transaction = server.envelope
    if transaction.chunks or transaction.chunk_refusal is not None:
        return replies.NO_DATA_AFTER_BDAT
    if (reply := nobody_to_send_to(server)) is not None:
        return reply
    limit = server.limits_size
    # Set aside before the first octet; more is taken as it comes.
    octets = min(max(transaction.parameters.get("size_declared", 0), LEAST_RESERVED), limit)
    if not server.room.grow_to(octets):
        return _wait_for_room(server, octets)
    server.expect_content(limit)
    return replies.GO_AHEAD


async def _wait_for_room(server: Server, octets: int) -> Reply:
    """Let the client wait before its message, while others fill the memory with theirs."""
    if not await server.room.wait_for(server, octets):
        return replies.NO_ROOM
    server.expect_content(server.limits_size)
    return replies.GO_AHEAD


def nobody_to_send_to(server: Server) -> Reply | None:
    """What to say when a message comes and no recipient was taken (RFC 5321 §3.3)."""
    transaction = server.envelope
    if transaction.sender is None:
        return replies.MAIL_FIRST
    if transaction.recipients:
        return None
    refused = transaction.has_refused_recipients
    return replies.NO_VALID_RECIPIENT if refused else replies.RECIPIENT_FIRST


async def take_content(server: Server, content: Content) -> Reply:
    """Give the message to the handler; whatever comes of it, the transaction is over."""
    try:
        if content.octets is None:
            return replies.NO_ROOM if server.room.has_run_out else server.too_large()
        server.envelope.content = content.octets
        del content  # a large message is there once only, in the envelope, while the handler works on it
        return await hand_in(server)
    finally:
        server.begin_transaction()


async def hand_in(server: Server) -> Reply:
    """Let the handler have the whole message, which is in the envelope."""
    reply = as_reply(await server.hook("DATA")) or replies.QUEUED
    if reply.is_success:
        server.tally.took_message()
    return reply
