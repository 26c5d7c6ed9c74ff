"""One message over one connection: MAIL, RCPT… and DATA in one write where PIPELINING is offered (RFC 2920).

The envelope's answers are all awaited before the message is sent, so that the answer to the final
dot is the only one that can follow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from relay.delivery.classify import Step, Trouble, given_up, not_understood
from relay.delivery.transports.base import Answers
from relay.delivery.transports.dialogue import Dialogue
from relay.delivery.transports.parameters import (
    Offers,
    fitted,
    mail_command,
    rcpt_command,
    refused_unasked,
)
from relay.delivery.transports.replies import Answer
from relay.delivery.transports.transaction import Transaction
from relay.mail.envelope import Envelope
from relay.mail.lines import dot_stuffed, dot_stuffed_pieces
from relay.mail.priority import Priority

DOT_SECONDS = 600.0  # RFC 5321 §4.5.3.2.6: who gives up sooner sends twice
_QUIT_SECONDS = 5.0
_CHUNK = 128 * 1024  # octets handed to the socket before asking whether it takes more

Rcpt = tuple[int, bytes]  # a recipient's number, and the command that names it


class Pipeline:
    """An SMTP connection that is greeted, secured and logged in: it carries messages, one by one."""

    keeps_content = False

    def __init__(
        self,
        dialogue: Dialogue,
        *,
        offers: Offers,
        remote: str,
        tls: str | None,
        seconds: float,
        dot_seconds: float = DOT_SECONDS,
    ) -> None:
        self.remote = remote
        self.tls = tls
        self._dialogue = dialogue
        self.offers = offers
        self._seconds = seconds
        self._dot_seconds = dot_seconds
        self._is_spoiled = False
        self._needs_reset = False

    @property
    def is_usable(self) -> bool:
        """Whether another message may be offered here."""
        return not self._is_spoiled and self._dialogue.is_usable

    async def deliver(self, envelope: Envelope, content: bytes, priority: Priority) -> Answers:
        """Offer one message; every recipient gets one last word, whatever the upstream does."""
        if not self.offers.eight_bit:
            content = await asyncio.to_thread(fitted, content, self.offers)
        refused = refused_unasked(envelope, content, self.offers)
        everybody = [recipient.number for recipient in envelope.recipients]
        transaction = Transaction(everybody, refused, requires_tls=envelope.require_tls)
        rcpts = [
            (recipient.number, rcpt_command(recipient, self.offers))
            for recipient in envelope.recipients
            if recipient.number not in refused
        ]
        if rcpts:
            mail = mail_command(envelope, content, priority, self.offers)
            self._is_spoiled = True  # until it ended well: also if this is cancelled half-way
            try:
                if await self._is_invited(transaction, mail, rcpts):
                    await self._send(transaction, content)
            except Trouble as trouble:
                if transaction.is_begun:
                    transaction.hear_too_early(self._dialogue.heard(1))
                transaction.broken_off(trouble)
            except asyncio.CancelledError:
                if not transaction.is_out:
                    raise
                # That it was perhaps delivered shall still be written down; then the runner ends, for its
                # task stays cancelled.
                transaction.broken_off(given_up(Step.DOT))
            self._is_spoiled = transaction.trouble is not None
        return transaction.answers()

    async def ask(self, command: bytes, step: Step) -> Answer:
        """Say one command, and hear what is said to it.  Raises Trouble."""
        self._dialogue.write(command)
        return (await self._dialogue.replies(1, step, self._seconds))[0]

    async def close(self) -> None:
        """Take leave with QUIT, or only hang up if the other side no longer listens."""
        if self.is_usable:
            self._dialogue.write(b"QUIT\r\n")
            with suppress(Trouble):  # it is over either way
                await self._dialogue.replies(1, Step.QUIT, _QUIT_SECONDS)
        self._dialogue.abort()

    # The envelope --------------------------------------------------------------------------------

    async def _is_invited(self, transaction: Transaction, mail: bytes, rcpts: Sequence[Rcpt]) -> bool:
        """Whether the upstream now waits for the message."""
        if self._needs_reset:
            await self._reset()
        invite = self._ask_together if self.offers.pipelining else self._ask_one_by_one
        is_invited = await invite(transaction, mail, rcpts)
        self._needs_reset = not is_invited
        if self._dialogue.has_unasked:
            unasked = self._dialogue.heard(1)
            # 421 may come at any time (RFC 5321 §3.8); any other may be the answer to a command long before.
            transaction.is_out_of_step |= bool(unasked) and unasked[0].code != 421
            raise not_understood(Step.DATA, "more answers than commands")
        return is_invited

    async def _ask_together(self, transaction: Transaction, mail: bytes, rcpts: Sequence[Rcpt]) -> bool:
        dialogue, count = self._dialogue, len(rcpts) + 2
        dialogue.write(mail, *[command for _, command in rcpts], b"DATA\r\n")
        try:
            answers = await dialogue.replies(count, Step.DATA, self._seconds)
        except Trouble as trouble:
            # What was answered before the line broke still counts: a refusal is a refusal.
            answers = dialogue.heard(count)
            _hear_envelope(transaction, answers, rcpts)
            transaction.broken_off(trouble)
            return False
        return _hear_envelope(transaction, answers, rcpts)

    async def _ask_one_by_one(self, transaction: Transaction, mail: bytes, rcpts: Sequence[Rcpt]) -> bool:
        transaction.hear_mail(await self.ask(mail, Step.MAIL))
        if transaction.is_mail_refused:
            return False
        for number, command in rcpts:
            transaction.hear_rcpt(number, await self.ask(command, Step.RCPT))
            if transaction.trouble or self._dialogue.has_unasked:
                return False
        return bool(transaction.accepted) and transaction.hear_data(await self.ask(b"DATA\r\n", Step.DATA))

    async def _reset(self) -> None:
        """Forget a transaction that ended before its message (RFC 5321 §4.1.1.5)."""
        answer = await self.ask(b"RSET\r\n", Step.RSET)
        if not answer.is_success:
            raise not_understood(Step.RSET, f"{answer.code} instead of 250")
        self._needs_reset = False

    # The message ---------------------------------------------------------------------------------

    async def _send(self, transaction: Transaction, content: bytes) -> None:
        if not transaction.accepted:
            # Every recipient was refused but DATA was not: only an empty message gets us out of it,
            # and whatever is said to that concerns nobody (RFC 2920 §3.1).
            await self.ask(b".\r\n", Step.DOT)
            return
        transaction.is_begun = True
        end = b".\r\n" if not content or content.endswith(b"\r\n") else b"\r\n.\r\n"
        last = dot_stuffed(content) if len(content) <= _CHUNK else await self._send_all_but_last(content)
        transaction.is_out = True
        self._dialogue.write(last, end)
        (answer,) = await self._dialogue.replies(1, Step.DOT, self._dot_seconds)
        transaction.hear_end(answer)

    async def _send_all_but_last(self, content: bytes) -> bytes:
        """Send a large message but for its last piece, which is returned."""
        last = b""
        for piece in dot_stuffed_pieces(content, _CHUNK):
            if last:
                await self._send_piece(last)
            last = piece
        return last

    async def _send_piece(self, piece: bytes) -> None:
        self._dialogue.write(piece)
        await self._dialogue.drained(Step.BODY, self._seconds)
        if self._dialogue.has_unasked:
            raise not_understood(Step.BODY, "an answer before the end of it")


def _hear_envelope(transaction: Transaction, answers: Sequence[Answer], rcpts: Sequence[Rcpt]) -> bool:
    """Tie each answer to its command, as far as there are answers; True: the message is awaited."""
    if answers:
        transaction.hear_mail(answers[0])
    for (number, _), answer in zip(rcpts, answers[1:], strict=False):
        transaction.hear_rcpt(number, answer)
    return len(answers) > len(rcpts) + 1 and transaction.hear_data(answers[-1])
