"""Walking to a mail server step by step, for whoever wants to know how far one gets and why no further."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from relay.delivery.classify import Scope, Step, Trouble
from relay.delivery.findings import Finding, Report, certificate_facts, failure
from relay.delivery.transports.parameters import mail_command, rcpt_command
from relay.delivery.transports.pipeline import Pipeline
from relay.delivery.transports.smtp import Opening
from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.lines import dot_stuffed
from relay.mail.priority import Priority
from relay.routing.upstreams import Tls, Upstream

_NOT_OFFERED = Finding(
    Step.MAIL,
    None,
    0.0,
    "not asked: the account has no address of its own",
    "Give one for this test with --address, or for all with --sender.",
)


class Walk:
    """One way to one upstream, and what was found on it.

    The last steps offer a message to *whom*, from there too if no *sender* is given, and take it back
    before it is sent; with a *letter* it is really sent.  Without *whom* nothing is offered: what might
    be refused to an address that we made up says nothing of the mail that is to go there.
    """

    def __init__(
        self,
        upstream: Upstream,
        opening: Opening,
        whom: Address | None,
        letter: bytes | None,
        sender: Address | None = None,
    ) -> None:
        self._upstream = upstream
        self._opening = opening
        self._whom = whom
        self._sender = sender
        self._letter = letter
        self._findings: list[Finding] = []
        self._begun_at = 0.0
        self._clock = asyncio.get_running_loop().time

    async def to_the_end(self) -> Report:
        """Go as far as one gets."""
        pipeline = None
        try:
            for step in self._opening.steps:
                await self._take(step, partial(self._open, step))
            pipeline = self._opening.into_pipeline()
            if self._whom is not None:
                await self._offer(pipeline, self._whom)
            else:
                self._findings.append(_NOT_OFFERED)
        except Trouble as trouble:
            self._findings.append(failure(trouble, self._seconds, self._upstream.port))
        finally:
            if pipeline is not None:
                await pipeline.close()
        return Report(tuple(self._findings), self._verdict())

    async def _take(self, step: Step, action: Callable[[], Awaitable[str]]) -> None:
        self._begun_at = self._clock()
        detail = await action()
        self._findings.append(Finding(step, True, self._seconds, detail, self._warning(step)))

    @property
    def _seconds(self) -> float:
        return self._clock() - self._begun_at

    def _warning(self, step: Step) -> str | None:
        """What is better done otherwise, although it works."""
        if self._upstream.tls is Tls.OPPORTUNISTIC:
            return None  # it promises nothing
        if step is Step.TLS and not self._upstream.verify_tls:
            return (
                "The certificate is not verified: whoever stands between can read the mail and the password."
            )
        if step is Step.AUTH and self._upstream.tls is Tls.NONE:
            return "The password went over the network in the clear: use STARTTLS or implicit TLS."
        return None

    def _verdict(self) -> str:
        last = self._findings[-1]
        if last is _NOT_OFFERED:
            return f"{self._upstream.name} can be reached; whether it takes mail from us was not asked."
        if not last.is_good:
            return f"It failed at {last.step.value}: {last.detail}"
        if self._letter is not None and last.step is Step.DOT:
            return f"The test message to {self._whom} was taken: {last.detail}"
        return f"{self._upstream.name} takes mail from us."

    # The steps -----------------------------------------------------------------------------------

    async def _open(self, step: Step) -> str:
        told = await self._opening.take(step)
        der = self._opening.certificate if step is Step.TLS else None
        return told if der is None else f"{told}; {certificate_facts(der, self._upstream.host)}"

    async def _offer(self, pipeline: Pipeline, whom: Address) -> None:
        sender = whom if self._sender is None else self._sender
        envelope = Envelope(sender, (Recipient(1, whom),), smtputf8=not whom.is_ascii)
        mail = mail_command(envelope, self._letter or b"", Priority.NORMAL, pipeline.offers)
        rcpt = rcpt_command(envelope.recipients[0], pipeline.offers)
        await self._take(Step.MAIL, partial(_agreed, pipeline, mail, Step.MAIL))
        await self._take(Step.RCPT, partial(_agreed, pipeline, rcpt, Step.RCPT))
        if self._letter is None:
            await self._take(Step.RSET, partial(_agreed, pipeline, b"RSET\r\n", Step.RSET))
            return
        await self._take(Step.DATA, partial(_agreed, pipeline, b"DATA\r\n", Step.DATA))
        message = dot_stuffed(self._letter) + b".\r\n"
        await self._take(Step.DOT, partial(_agreed, pipeline, message, Step.DOT))


async def _agreed(pipeline: Pipeline, command: bytes, step: Step) -> str:
    """Say *command*; what was answered, if it was what is wanted.  Raises Trouble."""
    answer = await pipeline.ask(command, step)
    reply = answer.to_reply()
    if (answer.code == 354) if step is Step.DATA else answer.is_success:
        return str(reply)
    raise Trouble(reply, Scope.MESSAGE, step)
