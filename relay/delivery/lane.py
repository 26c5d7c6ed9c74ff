"""The road to one upstream: who waits for it, and who goes next.

A runner is a slot is a connection: there are at most as many as the upstream's concurrency allows,
and each carries one delivery after the other, always the most urgent that waits.  So a letter of
level 1 is never behind others: while it waits nothing lower starts, and where there are at least
two slots one is kept free for it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from relay import log
from relay.delivery.classify import Trouble
from relay.delivery.clerk import Clerk
from relay.delivery.hands import Held
from relay.delivery.runner import Runner
from relay.delivery.standing import Standing
from relay.delivery.transports import TRANSPORTS
from relay.delivery.transports.base import Transport
from relay.mail.priority import Priority
from relay.routing.upstreams import Upstream

IDLE_SECONDS = 10.0
MOST_AHEAD = 500  # deliveries that wait in memory: two seconds of work, but no more than this
_NARROW_FOR = timedelta(minutes=1)


class Lane:
    """Deliveries for one upstream wait here until a runner is free.

    *share* is the number of processes that the upstream's concurrency is divided by; *on_room* is
    called when few are left waiting.
    """

    def __init__(
        self, upstream: Upstream, clerk: Clerk, *, share: Callable[[], int], on_room: Callable[[], None]
    ) -> None:
        self.upstream = upstream
        self.transport: Transport = TRANSPORTS[upstream.kind](upstream, clerk.rules().hostname, clerk.tokens)
        self.standing = Standing(clerk.rules().rng)
        self.has_more = False  # the table has more for us than we took
        self._clerk = clerk
        self._share = share
        self._on_room = on_room
        self._waiting: list[tuple[datetime, int, Held]] = []
        self._arrivals = count()
        self._runners: set[Runner] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting: list[asyncio.Future[bool]] = []
        self._busy = 0
        self._busy_with_lower = 0
        self._narrow: tuple[int, datetime] | None = None  # connections that the upstream bears, until when
        self._ahead = 2 * upstream.concurrency
        self._finished = 0
        self._is_closed = False

    # Waiting -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more deliveries may wait here; less than nothing if there are too many."""
        if not self.standing.is_up:
            return 1 - len(self._waiting) - self._busy
        return self._ahead - len(self._waiting)

    def measure(self, period: timedelta) -> None:
        """Reckon what is carried in two seconds, from what was carried in the last *period*."""
        pace = round(2 * self._finished / period.total_seconds())
        self._ahead = min(max(pace, 2 * self.upstream.concurrency), MOST_AHEAD)
        self._finished = 0

    def put(self, held: Held) -> None:
        """Let *held* wait for its turn, which may be now."""
        heapq.heappush(self._waiting, (held.claimed.rank_at, next(self._arrivals), held))
        self._stir_one()

    def shed(self, number: int, reason: str) -> None:
        """Give the *number* least urgent back to the queue, where other processes see them."""
        self._waiting.sort()  # a sorted list is a heap, too
        for _, _, held in self._waiting[len(self._waiting) - number :]:
            self._clerk.give_back(held, reason)
        del self._waiting[len(self._waiting) - number :]

    def stir(self) -> None:
        """Set to work whoever has something to do."""
        for _ in range(min(len(self._waiting), self._slots)):
            self._stir_one()

    def _stir_one(self) -> None:
        if not self._may_begin():
            return
        if self._resting:
            self._resting.pop().set_result(False)
        elif len(self._runners) < self._slots:
            runner = Runner(self, self._clerk)
            self._runners.add(runner)
            task = asyncio.ensure_future(runner.run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # Turns ---------------------------------------------------------------------------------------

    async def next(self, runner: Runner) -> Held | None:
        """The next delivery for *runner*; None: there is nothing for it to do, and it is to go."""
        while not self._is_closed and len(self._runners) <= self._slots:
            if self._may_begin():
                return self._pop()
            if await self._rested_in_vain() and not self._may_begin():
                break
        self._runners.discard(runner)
        return None

    def finished(self, held: Held) -> None:
        """The turn of *held* is over."""
        self._busy -= 1
        self._busy_with_lower -= held.claimed.priority is not Priority.VERY_HIGH
        self._finished += 1

    @property
    def _slots(self) -> int:
        """How many connections there may be now."""
        slots = max(self.upstream.concurrency // max(self._share(), 1), 1)
        if self._narrow is None:
            return slots
        borne, until = self._narrow
        if self._clerk.clock.now() < until:
            return min(slots, borne)
        self._narrow = None
        return slots

    def _may_begin(self) -> bool:
        """Whether the most urgent that waits may begin."""
        waiting = self._waiting
        while waiting and waiting[0][2].is_lost:
            self._clerk.hands.let_go(heapq.heappop(waiting)[2])
        if not waiting or self._clerk.ledger.is_stuck:
            return False
        if not self.standing.is_up and (self._busy or self.standing.is_down(self._clerk.clock.now())):
            return False  # one probe goes first
        slots = self._slots
        if waiting[0][2].claimed.priority is Priority.VERY_HIGH:
            return self._busy < slots
        return self._busy < slots and self._busy_with_lower < max(slots - 1, 1)

    def _pop(self) -> Held:
        held = heapq.heappop(self._waiting)[2]
        self._busy += 1
        self._busy_with_lower += held.claimed.priority is not Priority.VERY_HIGH
        if self.has_more and len(self._waiting) <= self._ahead // 2:
            self._on_room()
        return held

    async def _rested_in_vain(self) -> bool:
        """Rest until there is something to do; True: there was nothing for too long."""
        loop = asyncio.get_running_loop()
        waking: asyncio.Future[bool] = loop.create_future()
        self._resting.append(waking)
        timer = loop.call_later(IDLE_SECONDS, self._dismiss, waking)
        try:
            return await waking
        finally:
            timer.cancel()
            if waking in self._resting:
                self._resting.remove(waking)

    def _dismiss(self, waking: asyncio.Future[bool]) -> None:
        if waking in self._resting:
            self._resting.remove(waking)
            waking.set_result(True)

    # How the upstream fares ----------------------------------------------------------------------

    def works(self) -> None:
        """A message was answered in order."""
        if self.standing.works():
            log.upstream_up(upstream=self.upstream.name)
            self.stir()
            self._on_room()

    def cannot_connect(self, held: Held, trouble: Trouble) -> None:
        """No connection could be opened for *held*.

        If others stand, the upstream bears just so many: then it gets no more for a while.
        """
        others = sum(runner.is_connected for runner in self._runners)
        if others and self.standing.is_up:
            self._narrow = (others, self._clerk.clock.now() + _NARROW_FOR)
            self.put(held)
        else:
            self.go_down(trouble)
            self._clerk.give_back(held, self.why_down)

    def go_down(self, trouble: Trouble) -> None:
        """Leave the upstream alone for a while; what waits for it goes back into the queue, untried."""
        now = self._clerk.clock.now()
        if not self.standing.is_down(now):
            until = self.standing.went_down(trouble.reply, now, asked_for=trouble.pause)
            log.upstream_down(upstream=self.upstream.name, reply=trouble.reply, until=until)
        self.give_all_back(self.why_down)

    @property
    def why_down(self) -> str:
        """Why nothing is sent there, in a sentence."""
        return f"Upstream {self.upstream.name} is down: {self.standing.reason}"

    # Changes, and the end ------------------------------------------------------------------------

    def adopt(self, upstream: Upstream) -> None:
        """Go on with changed settings; connections made with the old ones carry nothing more."""
        if upstream == self.upstream:
            return
        self.upstream = upstream
        self.transport = TRANSPORTS[upstream.kind](upstream, self._clerk.rules().hostname, self._clerk.tokens)
        self.standing = Standing(self._clerk.rules().rng)  # perhaps that was what was wrong
        self._narrow = None
        self.stir()

    def give_back(self, why: Callable[[Held], str | None]) -> None:
        """Let go of those waiting for which *why* has a reason."""
        kept = []
        for place in self._waiting:
            if (reason := why(place[2])) is None:
                kept.append(place)
            else:
                self._clerk.give_back(place[2], reason)
        heapq.heapify(kept)
        self._waiting = kept

    def give_all_back(self, reason: str) -> None:
        """Let go of everything that waits."""
        waiting, self._waiting = self._waiting, []
        for _, _, held in waiting:
            self._clerk.give_back(held, reason)

    async def close(self, reason: str, seconds: float) -> None:
        """Give back what waits, let end what has begun; after *seconds* hang up on it."""
        self._is_closed = True
        self.give_all_back(reason)
        for waking in self._resting:
            waking.set_result(True)
        self._resting.clear()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
