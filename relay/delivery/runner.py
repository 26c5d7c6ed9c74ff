"""One slot of a lane: at most one connection, and one delivery after the other over it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from relay import log
from relay.delivery.classify import Scope, Step, Trouble, asks_for_less
from relay.delivery.clerk import Clerk
from relay.delivery.elsewhere import is_for_others, left_to_others
from relay.delivery.hands import Held
from relay.delivery.link import Link
from relay.delivery.outgoing import Letter
from relay.delivery.transports.base import Answers
from relay.delivery.tried import Try
from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream

if TYPE_CHECKING:
    from relay.delivery.lane import Lane

_CONTENT_GONE = Reply(451, "3.0", "The content of the message is gone")
_TOO_LARGE = Reply(552, "3.4", "The message is larger than any upstream of its route may be given")
_IN_THE_NEXT = Reply(452, "5.3", "Its turn comes in the next transaction: this one had all it may have")
_OUR_FAULT = "A fault of the relay itself kept it; the log says more"


class Runner:
    """Carries what its lane gives it, until there is nothing more."""

    def __init__(self, lane: Lane, clerk: Clerk) -> None:
        self._lane = lane
        self._clerk = clerk
        self._link: Link | None = None

    @property
    def is_connected(self) -> bool:
        """Whether its connection stands."""
        return self._link is not None and self._link.connection.is_usable

    async def run(self) -> None:
        """Carry on until the lane has nothing to do for us."""
        ours = asyncio.current_task()
        try:
            # To be told to end while a message is out counts once that is written down.
            while not (ours and ours.cancelling()) and (held := await self._lane.next(self)) is not None:
                destination = held.destination
                try:
                    await self._carry(held)
                except Exception as fault:  # noqa: BLE001  the next delivery must go all the same
                    log.fault("delivery", fault)
                    await self._hang_up()
                    rules = self._clerk.rules()
                    again_at = self._clerk.clock.now() + rules.settings.retry_first
                    self._clerk.give_back(held, _OUR_FAULT, again_at)
                finally:
                    self._lane.finished(held, destination)
        finally:
            await self._hang_up()

    async def _carry(self, held: Held) -> None:
        began_at = self._clerk.clock.now()
        link: Link | None = self._link
        why_not: Reply | None = None
        if link is None or not link.is_fit(self._lane.upstream, held.destination, began_at):
            link = None
            try:
                link = await self._new_link(held.destination)
            except Trouble as trouble:
                if trouble.scope is not Scope.MESSAGE:
                    self._lane.cannot_connect(held, trouble)
                    return
                why_not = trouble.reply  # only its destination cannot be sent to: the lane works
                self._lane.works(self._clerk.clock.now())
        content = held.claimed.content
        if content is None:
            content = await self._clerk.content_of(held)
        try:
            if content is None:
                why_not = _CONTENT_GONE
            elif not self._lane.bears(len(content)):
                why_not = _TOO_LARGE
            if content is None or link is None or why_not is not None:
                assert why_not is not None
                self._conclude(held, content or b"", self._nothing_sent(held, began_at, why_not))
            else:
                tried = await self._offer(held, content, link)
                await self._see_to(held, content, tried, link)
        finally:
            self._clerk.content_done(held)

    async def _new_link(self, destination: str) -> Link:
        """A connection there, in the place of one that has served its time.  Raises Trouble."""
        await self._hang_up()
        upstream = self._lane.upstream
        connection = await self._lane.transport.connect(destination)
        self._link = Link(connection, upstream, self._clerk.clock.now(), destination)
        self._clerk.connected(upstream.id)
        return self._link

    async def _offer(self, held: Held, content: bytes, link: Link) -> Try:
        connection, claimed = link.connection, held.claimed
        started_at = self._clerk.clock.now()
        envelope, left = _parted(claimed.envelope, link.upstream.limits.recipients)
        envelope = _as_sent_by(link.upstream, envelope, started_at)
        letter = Letter(content)
        if not connection.keeps_content:  # what is kept here is kept as it was sent
            letter = await self._clerk.outgoing.letter(
                claimed, content, link.upstream, connection.offers, self._clerk.rules(), started_at
            )
        if letter.needs_smtputf8:
            envelope = envelope._replace(smtputf8=True)
        answers = await connection.deliver(envelope, letter.content, claimed.priority)
        return Try(
            upstream=link.upstream,
            started_at=started_at,
            finished_at=self._clerk.clock.now(),
            answers=_with_those(left, answers) if left else answers,
            remote=connection.remote,
            tls=connection.tls,
            keeps_content=connection.keeps_content,
            reports_on=connection.offers.dsn,
            keeps_time=connection.offers.deliver_by,
            sent=letter.content if letter.is_changed else None,
            left_alone=letter.left_alone,
        )

    async def _see_to(self, held: Held, content: bytes, tried: Try, link: Link) -> None:
        """Draw the consequences of what was answered, for the message, the connection and the lane."""
        trouble, was_fresh = tried.answers.trouble, link.is_fresh
        link.messages += 1
        if trouble is not None and not was_fresh and _is_over(tried.answers, trouble):
            await self._hang_up()
            self._lane.put(held)
            return
        is_taken = trouble is None and tried.answers.is_taken
        sender = held.claimed.envelope.sender
        complaint = None if is_taken else _complaint(link, tried.answers)
        if complaint is not None and not self._lane.standing.is_unwelcome(sender):
            self._lane.slow_down(complaint)
        if trouble is None:
            self._conclude(held, content, tried)
            if is_taken:
                self._clerk.succeeded(link.upstream.id, tried.finished_at)
            self._lane.works(tried.finished_at, sender)
            return
        await self._hang_up()
        if link.destination:  # what is wrong with one of many is no trouble of the lane
            self._lane.works(self._clerk.clock.now())
        elif self._is_passed_on(held, trouble, was_fresh=was_fresh):
            return
        self._conclude(held, content, tried)

    def _conclude(self, held: Held, content: bytes, tried: Try) -> None:
        """Write down how it ended, unless another upstream of its route has it now."""
        answers, elsewhere, upstream = tried.answers, self._lane.elsewhere, self._lane.upstream
        if answers.unfit:
            held.unfit_for |= {upstream.id}
        if is_for_others(answers, is_one_of_many=bool(held.destination)):
            held.passed_by |= {upstream.id}
            why = next(iter(answers.replies.values()))
            if elsewhere.take(held, upstream.id, f"Upstream {upstream.name}: {why}"):
                return
        if answers.unfit and elsewhere.may_take(held):
            tried = tried._replace(answers=left_to_others(answers, upstream.name))
        self._clerk.conclude(held, content, tried)

    def _is_passed_on(self, held: Held, trouble: Trouble, *, was_fresh: bool) -> bool:
        """Tell the lane of its trouble; True: *held*, not looked at yet, goes again at once or elsewhere.

        Not if it is known that no mail of its sender is taken, while that of others goes.
        """
        says_no_more = was_fresh and trouble.reply.code == 421
        if says_no_more and asks_for_less(trouble.reply) and self._lane.has_others(self):
            says_no_more = False  # it bears those that stand: see `slow_down`
            if trouble.step is Step.MAIL:
                self._lane.put(held)
                return True
        standing, is_shut = self._lane.standing, trouble.scope is Scope.UPSTREAM or says_no_more
        if is_shut or (was_fresh and standing.broke()):
            is_sender_meant = standing.turns_away(held.claimed.envelope.sender)
            if not (is_sender_meant and standing.is_up):
                self._lane.go_down(trouble)
            if is_shut and trouble.step is Step.MAIL and not is_sender_meant:
                self._lane.pass_on(held)
                return True
        return False

    def _nothing_sent(self, held: Held, began_at: datetime, why_not: Reply) -> Try:
        numbers = [r.number for r in held.claimed.envelope.recipients]
        everybody = frozenset(numbers)
        unfit = everybody if why_not is _TOO_LARGE else frozenset()
        answers = Answers(dict.fromkeys(numbers, why_not), unheard=everybody, unfit=unfit)
        return Try(self._lane.upstream, began_at, self._clerk.clock.now(), answers)

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.connection.close()


def _as_sent_by(upstream: Upstream, envelope: Envelope, now: datetime) -> Envelope:
    """*envelope* with the account's own sender, if it has one, and with the time that is left.

    A report keeps its null sender.
    """
    if envelope.deliver_by is not None:
        envelope = envelope._replace(by_seconds=int((envelope.deliver_by - now).total_seconds()))
    if upstream.sender_address is None or envelope.sender == Address.NULL:
        return envelope
    return envelope._replace(sender=upstream.sender_address)


def _parted(envelope: Envelope, most: int | None) -> tuple[Envelope, Sequence[Recipient]]:
    """Cut *envelope* to the recipients that one transaction may have; those left follow in the next."""
    if most is None or len(envelope.recipients) <= most:
        return envelope, ()
    return envelope._replace(recipients=envelope.recipients[:most]), envelope.recipients[most:]


def _with_those(left: Sequence[Recipient], answers: Answers) -> Answers:
    """*answers*, also to those who were *left* for the next transaction."""
    theirs = {recipient.number: _IN_THE_NEXT for recipient in left}
    return answers._replace(replies={**answers.replies, **theirs}, unheard=answers.unheard.union(theirs))


def _is_over(answers: Answers, trouble: Trouble) -> bool:
    """Whether *trouble* says no more than that this connection has served its time.

    An upstream may close one at any time, because it was idle or carried enough, and a login may end with
    its token; only what a new one meets is a reason to wait, or to send less.
    """
    is_login_over = trouble.scope is Scope.UPSTREAM and trouble.reply.is_permanent
    return answers.is_untried and (is_login_over or trouble.scope is not Scope.UPSTREAM)


def _complaint(link: Link, answers: Answers) -> Reply | None:
    """What was said that asks for less, where the upstream took the message for nobody.

    What it says to a login or the like is about us (see `Scope`), not about how much we send; what one
    destination of many says is no matter of the others.
    """
    if link.destination:
        return None
    trouble = answers.trouble
    if trouble is not None:
        return trouble.reply if trouble.scope is not Scope.UPSTREAM and asks_for_less(trouble.reply) else None
    return next((reply for reply in answers.replies.values() if asks_for_less(reply)), None)
