"""An AUTH exchange (RFC 4954 §4): challenges and responses, until the client is known or refused."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from relay import log
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.mechanisms import BadResponse, Claim, Conversation

if TYPE_CHECKING:
    from relay.submission.server import Server


class Exchange:
    """One AUTH command until its end; it is the session's `exchange` while it waits for a line."""

    def __init__(self, mechanism: str, conversation: Conversation) -> None:
        self.mechanism = mechanism
        self._conversation = conversation

    async def begin(self, server: Server, initial: str | None) -> Reply:
        """Start, with the client's initial response if it sent one ("=" is an empty one)."""
        challenge = next(self._conversation)
        if initial is None:
            return self._ask(server, challenge)
        return await self.respond(server, b"" if initial == "=" else initial.encode())

    async def respond(self, server: Server, line: bytes) -> Reply:
        """Take the client's next line; "*" cancels."""
        server.exchange = None
        if line == b"*":
            return replies.AUTH_CANCELLED
        try:
            challenge = self._conversation.send(base64.b64decode(line, validate=True))
        except (BadResponse, binascii.Error, ValueError):
            return replies.BAD_AUTH_RESPONSE
        except StopIteration as end:
            return await self._judge(server, end.value)
        return self._ask(server, challenge)

    def _ask(self, server: Server, challenge: bytes) -> Reply:
        server.exchange = self
        return Reply(334, "", base64.b64encode(challenge).decode())

    async def _judge(self, server: Server, claim: Claim) -> Reply:
        verifier = server.door.verifier
        facts = server.session.facts
        try:
            user = verifier.cached(claim.name, claim.password)
            why = ""
            if user is None:
                verdict = await verifier.verify(claim.name, claim.password)
                user, why = verdict.user, verdict.why
        except Exception as fault:  # noqa: BLE001  whatever keeps us from knowing is not the client's fault
            log.fault("auth", fault)
            return replies.AUTH_UNAVAILABLE
        if user is None:
            log.authentication_failed(
                session=facts.id,
                user=claim.name[:255],
                mechanism=self.mechanism,
                peer=facts.peer_address,
                why=why,
            )
            return replies.BAD_CREDENTIALS
        server.log_in(user)
        server.door.note_login(server.session.facts)
        log.authenticated(session=facts.id, user=user.name, mechanism=self.mechanism)
        return replies.AUTHENTICATED
