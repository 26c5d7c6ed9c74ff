"""An AUTH exchange (RFC 4954 §4): challenges and responses, until the client is known or refused."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from relay import log
from relay.accounts.profile import is_same_name
from relay.accounts.proofs import UNKNOWN_USER
from relay.accounts.tokens import BadToken
from relay.accounts.verifier import Verdict
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.conversation import (
    NOT_FOR_ANOTHER,
    BadResponse,
    Claim,
    Conversation,
    Inquiry,
    Proof,
    Token,
    Voucher,
)
from relay.submission.doorkeeper import barred, count_failure, refuse, refused, welcome

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
        assert isinstance(challenge, bytes), "a conversation begins with the client's first response"
        if initial is None:
            return self._ask(server, challenge)
        return await self.respond(server, b"" if initial == "=" else initial.encode())

    async def respond(self, server: Server, line: bytes) -> Reply:
        """Take the client's next line; "*" cancels."""
        server.exchange = None
        if line == b"*":
            return replies.AUTH_CANCELLED
        try:
            return await self._go_on(server, base64.b64decode(line, validate=True))
        except (BadResponse, binascii.Error):
            return replies.BAD_AUTH_RESPONSE
        except Exception as fault:  # noqa: BLE001  whatever keeps us from knowing is not the client's fault
            log.fault("auth", fault)
            return replies.AUTH_UNAVAILABLE

    async def _go_on(self, server: Server, answer: Any) -> Reply:
        try:
            wanted = self._conversation.send(answer)
        except StopIteration as end:
            return await self._judge(server, end.value)
        if isinstance(wanted, bytes):
            return self._ask(server, wanted)
        return await self._look_up(server, wanted)

    def _ask(self, server: Server, challenge: bytes) -> Reply:
        server.exchange = self
        return Reply(334, "", base64.b64encode(challenge).decode())

    async def _look_up(self, server: Server, wanted: Inquiry | Token) -> Reply:
        if (refusal := await barred(server, self.mechanism, wanted.name)) is not None:
            return refusal
        if isinstance(wanted, Inquiry):
            proofs = await server.door.verifier.proofs(wanted.name, server.session.facts.peer_address)
            return await self._go_on(server, proofs)
        voucher = await _voucher(server, wanted)
        if voucher.verdict.user is None:  # counted now: the client may hang up instead of hearing it
            await count_failure(server, self.mechanism, voucher.name, voucher.verdict.why)
        return await self._go_on(server, voucher)

    async def _judge(self, server: Server, result: Claim | Proof | Voucher) -> Reply:
        verifier = server.door.verifier
        match result:
            case Claim():
                if (refusal := await barred(server, self.mechanism, result.name)) is not None:
                    return refusal
                verdict = await _verdict(server, result)
                if verdict.user is not None and result.is_for_another:
                    verdict = Verdict(None, NOT_FOR_ANOTHER)
            case Proof():
                if not verifier.is_current(result.compared_with):
                    return replies.AUTH_UNAVAILABLE  # it may just have been revoked
                verdict = Verdict(result.given.user, result.given.why)
            case Voucher():
                if result.verdict.user is None:
                    return refused(server)
                verdict = result.verdict
        if verdict.user is None:
            return await refuse(server, self.mechanism, result.name, verdict.why)
        # Of many guesses at one moment, those after the limit must not tell which was right
        if (refusal := await barred(server, self.mechanism, result.name)) is not None:
            return refusal
        server.log_in(verdict.user, self.mechanism)
        server.door.note_login(server.session.facts)
        welcome(server, self.mechanism, verdict.user)
        log.authenticated(session=server.session.facts.id, user=verdict.user.name, mechanism=self.mechanism)
        return replies.AUTHENTICATED


async def _verdict(server: Server, claim: Claim) -> Verdict:
    verifier, peer = server.door.verifier, server.session.facts.peer_address
    user = verifier.cached(claim.name, claim.password, peer)
    return Verdict(user) if user is not None else await verifier.verify(claim.name, claim.password, peer)


async def _voucher(server: Server, shown: Token) -> Voucher:
    """Whom the token speaks for, if it may log in.  Raises what keeps us from knowing."""
    door, name, why = server.door, shown.name, ""
    assert door.issuer is not None, "tokens are taken only of an issuer"
    try:
        found = await door.issuer.user_named_in(shown.text, door.office.clock.now())
        if name and not is_same_name(name, found):
            why = "the token speaks for somebody else"
        name = name or found
    except BadToken as fault:
        why = str(fault)
    verdict = await door.verifier.known(name)
    if not why:
        return Voucher(name, verdict)
    # A name that nobody has is made up, and not worth counting
    return Voucher("" if verdict.why == UNKNOWN_USER else name, Verdict(None, why))
