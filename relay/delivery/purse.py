"""What this process may begin at an upstream with limits, as it was granted by the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.delivery.clerk import Clerk
from relay.delivery.ledger import DATABASE_AWAY
from relay.log import fault
from relay.routing.grants import Ask, Begun, Grant, Refund
from relay.routing.upstreams import Upstream

_A_MOMENT = timedelta(milliseconds=5)  # so that it is not yet too soon by the clock


class Purse:
    """Holds what was granted and is not begun yet; asks for more when it is empty.

    What is not begun in time is lost, which errs on the safe side; what is left when it is closed is given
    back.  The clerk puts the question to the database; *on_answer* is called when something may begin, or
    nothing may for a while, and *on_reopening* when that while is over.
    """

    def __init__(
        self,
        upstream: Upstream,
        clerk: Clerk,
        on_answer: Callable[[], None],
        on_reopening: Callable[[], None],
    ) -> None:
        self.refusal: Grant | None = None  # the last answer, if it was no
        self._upstream = upstream
        self._clerk = clerk
        self._on_answer = on_answer
        self._on_reopening = on_reopening
        self._answered_at: datetime | None = None
        self._messages = 0
        self._until: datetime | None = None
        self._batch: datetime | None = None  # that they are of
        self._begun: Begun | None = None  # since we asked last, of a batch
        self._asked: asyncio.Future[Grant] | None = None
        self._is_closed = False

    def has_some(self, wanted: int) -> bool:
        """Whether a message may begin now; if not, *wanted* are asked for, unless that is in vain."""
        now = self._clerk.clock.now()
        if self._messages and self._until is not None and now < self._until:
            return True
        if self._asked is None and not self.is_shut(now):
            ask = Ask(self._upstream.id, self._upstream.limits, max(wanted, 1), now, self._begun)
            self._batch = self._begun = None
            self._asked = self._clerk.ask(ask)
            self._asked.add_done_callback(self._answered)
        return False

    def spend(self) -> None:
        """A message begins."""
        self._messages -= 1
        if self._batch is not None:
            before = self._begun.messages if self._begun else 0
            self._begun = Begun(self._batch, before + 1, self._clerk.clock.now())

    def is_shut(self, now: datetime) -> bool:
        """Whether it is known that nothing will be given now."""
        if self.refusal is None or self._answered_at is None:
            return False
        # Before it was heard: the clock was set back, and nobody knows what is given now.
        return self._answered_at <= now < self.refusal.until

    def close(self) -> asyncio.Future[Grant] | None:
        """Give back what is not begun; what is still asked for, too, once it is there: wait for that."""
        self._is_closed = True
        now = self._clerk.clock.now()
        if self._messages and self._until is not None and now < self._until:
            self._clerk.refund(Refund(self._upstream.id, self._upstream.limits, self._messages, now))
        self._messages = 0
        return self._asked

    def _answered(self, asked: asyncio.Future[Grant]) -> None:
        self._asked = None
        if asked.cancelled():
            return
        if (trouble := asked.exception()) is not None:
            # Asked again when the lane is stirred next, within a second.
            if not isinstance(trouble, DATABASE_AWAY):
                fault("grant", trouble)
            return
        given, self._answered_at = asked.result(), self._clerk.clock.now()
        self._messages, self._until, self._batch = given.messages, given.until, given.batch
        self.refusal = None if given.messages else given
        if self.refusal is not None:
            # A hint: without it, it is noticed within a second.
            left = given.until - self._answered_at + _A_MOMENT
            asyncio.get_running_loop().call_later(left.total_seconds(), self._on_reopening)
        if self._is_closed:
            self.close()
        else:
            self._on_answer()
