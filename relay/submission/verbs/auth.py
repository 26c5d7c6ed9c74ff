"""AUTH (RFC 4954): the client proves who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.auth import Exchange
from relay.submission.extensions.auth import circumstances_of, may_authenticate
from relay.submission.mechanisms import MECHANISMS, offered

if TYPE_CHECKING:
    from relay.submission.server import Server


async def auth(server: Server, argument: str) -> Reply:
    """Begin an exchange in the mechanism named, in whatever letter case."""
    if server.session.facts.is_authenticated:
        return replies.ALREADY_AUTHENTICATED
    if server.envelope.sender is not None:
        return replies.NOT_IN_TRANSACTION
    if not may_authenticate(server):
        return replies.ENCRYPTION_NEEDED
    if not argument:
        return replies.BAD_AUTH_RESPONSE.saying("Name a mechanism, as in AUTH PLAIN")
    mechanism, *initial = argument.split(" ")
    name, circumstances = mechanism.upper(), circumstances_of(server)
    if name not in offered(circumstances):
        return replies.BAD_MECHANISM
    if len(initial) > 1:
        return replies.BAD_AUTH_RESPONSE
    exchange = Exchange(name, MECHANISMS[name].begin(circumstances))
    return await exchange.begin(server, initial[0] if initial else None)
