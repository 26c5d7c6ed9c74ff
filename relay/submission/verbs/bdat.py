"""BDAT (RFC 3030 §2): the message in chunks of a length said beforehand, with no dots to stuff."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.framing import Chunk
from relay.submission.verbs.data import hand_in, nobody_to_send_to
from relay.submission.verbs.needs import LOGIN, obstacle

if TYPE_CHECKING:
    from relay.submission.server import Server

_ARGUMENT = re.compile(r"([0-9]{1,18})( +LAST)?", re.IGNORECASE)


def bdat(server: Server, argument: str) -> Coroutine[Any, Any, None] | None:
    """Take a chunk; whatever stands in its way, its octets come and must not be read as commands."""
    found = _ARGUMENT.fullmatch(argument)
    if found is None:
        # How much of what follows belongs to the message cannot be known any more.
        server.say_goodbye(replies.BAD_BDAT)
        return None
    transaction = server.envelope
    octets = int(found[1])
    transaction.is_last_chunk = found[2] is not None
    transaction.chunk_refusal = transaction.chunk_refusal or _refusal(server, octets)
    is_wanted = transaction.chunk_refusal is None
    if is_wanted and not server.room.grow_to(transaction.chunk_octets + octets):
        return _wait_for_room(server, octets)
    server.expect_chunk(octets, keep=is_wanted)
    return None


async def _wait_for_room(server: Server, octets: int) -> None:
    """Let the client wait with its chunk, while others fill the memory with theirs."""
    has_room = await server.room.wait_for(server, server.envelope.chunk_octets + octets)
    server.expect_chunk(octets, keep=has_room)


def _refusal(server: Server, octets: int) -> Reply | None:
    if (reply := obstacle(server, LOGIN) or nobody_to_send_to(server)) is not None:
        return reply
    if server.envelope.chunk_octets + octets > server.limits_size:
        return server.too_large()
    return None


async def take_chunk(server: Server, chunk: Chunk) -> Reply:
    """Answer a chunk that has come whole; the last one is the message's end.

    After a chunk was refused the others are, until RSET (RFC 3030 §2): the message would have a hole.
    """
    transaction = server.envelope
    if transaction.chunk_refusal is None and chunk.octets is None:
        transaction.chunk_refusal = replies.NO_ROOM
    if transaction.chunk_refusal is not None:
        reply, is_last = transaction.chunk_refusal, transaction.is_last_chunk
        transaction.chunks = []
        server.room.release()
        if is_last:
            server.begin_transaction()
        return reply
    assert chunk.octets is not None
    transaction.keep(chunk.octets)
    if not transaction.is_last_chunk:
        return replies.OK.saying(f"{len(chunk.octets)} octets received")
    try:
        transaction.is_dot_stuffed = False
        transaction.content = b"".join(transaction.chunks)
        transaction.chunks = []
        del chunk  # it is there once only, while the handler works on it
        return await hand_in(server)
    finally:
        server.begin_transaction()
