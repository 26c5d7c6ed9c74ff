"""Writing down how attempts ended, whatever becomes of the database meanwhile.

What an upstream took and we did not write down would be sent again, so a settlement is kept and
tried until it is committed.  While the database is away, nothing new is begun (`is_stuck`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from relay import log
from relay.clock import Clock
from relay.db.database import Database
from relay.delivery.hands import Held
from relay.queue.items import Settlement
from relay.queue.settle import Settled, settle

# Sent, but not written down yet: what would go twice if this process died now.  Several times what a
# fast upstream takes during a commit, so that it is only reached when the database is in trouble.
MOST_UNWRITTEN = 500

_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=0.5), timedelta(seconds=15)

# The database's trouble, not ours: it will be back.
DATABASE_AWAY = (OperationalError, InterfaceError, NoConnection)


class Ledger:
    """Settles, and calls *on_settled* with what was settled, how, and what came of that.

    *on_free* is called when it is no longer stuck.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        on_settled: Callable[[Held, Settlement, Settled], None],
        on_free: Callable[[], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._on_settled = on_settled
        self._on_free = on_free
        self._unwritten = 0
        self._kept_waiting = 0  # by a database that is away
        self._insisting: set[asyncio.Task[None]] = set()
        self._all_written = asyncio.Event()
        self._all_written.set()

    @property
    def is_stuck(self) -> bool:
        """Whether the database is away, or so slow that too much hangs on it already."""
        return self._kept_waiting > 0 or self._unwritten >= MOST_UNWRITTEN

    def enter(self, held: Held, settlement: Settlement) -> None:
        """Write *settlement* down, sooner or later; the letter itself need not come with it."""
        if not self._unwritten:
            self._all_written.clear()
        self._unwritten += 1
        written = self._db.write(settle, settlement)
        written.add_done_callback(lambda done: self._look(held, settlement, done))

    async def all_written(self) -> None:
        """Wait until everything that was entered is committed."""
        await self._all_written.wait()

    def close(self) -> None:
        """Insist no longer: the process ends."""
        for task in self._insisting:
            task.cancel()

    def _look(self, held: Held, settlement: Settlement, written: asyncio.Future[Settled]) -> None:
        # No task a settlement: nearly all are written at once.
        if written.cancelled():
            return
        if (fault := written.exception()) is None:
            self._done(held, settlement, written.result(), was_stuck=self.is_stuck)
            return
        task = asyncio.ensure_future(self._insist(held, settlement, fault))
        self._insisting.add(task)
        task.add_done_callback(self._insisting.discard)

    async def _insist(self, held: Held, settlement: Settlement, fault: BaseException) -> None:
        is_away = isinstance(fault, DATABASE_AWAY)
        self._kept_waiting += is_away
        wait = _FIRST_WAIT
        while True:
            if not isinstance(fault, DATABASE_AWAY):
                # Ours, then.  Kept all the same: its lease is renewed, so nobody sends it again.
                log.fault("settle", fault)
            await self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            try:
                settled = await self._db.write(settle, settlement)
            except Exception as again:  # noqa: BLE001  nothing may make us forget it
                fault = again
            else:
                break
        was_stuck = self.is_stuck
        self._kept_waiting -= is_away
        self._done(held, settlement, settled, was_stuck=was_stuck)

    def _done(self, held: Held, settlement: Settlement, settled: Settled, *, was_stuck: bool) -> None:
        self._unwritten -= 1
        if not self._unwritten:
            self._all_written.set()
        self._on_settled(held, settlement, settled)
        if was_stuck and not self.is_stuck:
            self._on_free()
