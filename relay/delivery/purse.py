"""What this process may begin at an upstream with limits, as it was granted by the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from relay.delivery.clerk import Clerk
from relay.delivery.ledger import DATABASE_AWAY
from relay.log import fault
from relay.routing.grants import Ask, Grant, Refund
from relay.routing.upstreams import Upstream


class Purse:
    """Holds what was granted and is not begun yet; asks for more when it is empty.

    What is not begun in time is lost, which errs on the safe side; what is left when it is closed is given
    back.  The clerk puts the question to the database; *on_answer* is called when something may begin, or
    nothing may for a while.
    """

    def __init__(self, upstream: Upstream, clerk: Clerk, on_answer: Callable[[], None]) -> None:
        self.refusal: Grant | None = None  # the last answer, if it was no
        self._upstream = upstream
        self._clerk = clerk
        self._on_answer = on_answer
        self._messages = 0
        self._until: datetime | None = None
        self._asked: asyncio.Future[Grant] | None = None
        self._is_closed = False

    def has_some(self, wanted: int) -> bool:
        """Whether a message may begin now; if not, *wanted* are asked for, unless that is in vain."""
        now = self._clerk.clock.now()
        if self._messages and self._until is not None and now < self._until:
            return True
        if self._asked is None and not self.is_shut(now):
            self._asked = self._clerk.ask(Ask(self._upstream.id, self._upstream.limits, max(wanted, 1), now))
            self._asked.add_done_callback(self._answered)
        return False

    def spend(self) -> None:
        """A message begins."""
        self._messages -= 1

    def is_shut(self, now: datetime) -> bool:
        """Whether it is known that nothing will be given now."""
        return self.refusal is not None and now < self.refusal.until

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
        given = asked.result()
        self._messages, self._until = given.messages, given.until
        self.refusal = None if given.messages else given
        if self._is_closed:
            self.close()
        else:
            self._on_answer()
