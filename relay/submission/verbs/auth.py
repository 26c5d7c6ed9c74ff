"""AUTH (RFC 4954): the client proves who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.auth import Exchange
from relay.submission.extensions.auth import may_authenticate
from relay.submission.mechanisms import MECHANISMS

if TYPE_CHECKING:
    from relay.submission.server import Server


async def auth(server: Server, argument: str) -> Reply:
    """Begin an exchange in the mechanism named, in whatever letter case."""
    if server.session.user is not None:
        return replies.ALREADY_AUTHENTICATED
    if server.envelope.sender is not None:
        return replies.NOT_IN_TRANSACTION
    if not may_authenticate(server):
        return replies.ENCRYPTION_NEEDED
    if not argument:
        return replies.BAD_AUTH_RESPONSE.saying("Name a mechanism: AUTH PLAIN or AUTH LOGIN")
    mechanism, *initial = argument.split(" ")
    conversation = MECHANISMS.get(mechanism.upper())
    if conversation is None:
        return replies.BAD_MECHANISM
    if len(initial) > 1:
        return replies.BAD_AUTH_RESPONSE
    exchange = Exchange(mechanism.upper(), conversation())
    return await exchange.begin(server, initial[0] if initial else None)
