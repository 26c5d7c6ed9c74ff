"""The road to one upstream: who waits for it, and who goes next.

A runner is a slot is a connection: there are at most as many as the upstream's concurrency allows,
and each carries one delivery after the other, always the most urgent that waits.  So a letter of
level 1 is never behind others: while it waits nothing lower starts, and where there are at least
two slots one is kept free for it.

Who waits stands in line; what the upstream may be given is in its purse, if it has limits; how many
connections it bears is its gait; whether it works is its standing.  What waits for one that takes
nothing now is passed on to another of its route at once, or goes back into the queue.

An upstream that is each domain's own servers (see `transports.mx`) gets deliveries of one domain each.
Such a destination has a share of the slots at most, and what is wrong with it is no trouble of the lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from relay import log
from relay.delivery.bench import Bench
from relay.delivery.classify import Trouble
from relay.delivery.clerk import Clerk
from relay.delivery.destinations import destinations_of
from relay.delivery.elsewhere import Elsewhere
from relay.delivery.gait import Gait
from relay.delivery.hands import Held
from relay.delivery.line import MOST_ASIDE, Line
from relay.delivery.purse import Purse
from relay.delivery.runner import Runner
from relay.delivery.standing import Standing
from relay.delivery.transports import TRANSPORTS
from relay.delivery.transports.base import Transport
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.standing import Stand, State, sentence
from relay.routing.upstreams import Kind, Upstream

MOST_AHEAD = 500  # deliveries that wait in memory: two seconds of work, but no more than this
_SHARES = 4  # a destination with servers of its own has one of so many shares of the slots, rounded up


class Lane:
    """Deliveries for one upstream wait here until a runner is free.

    *share* is the number of processes that the upstream's concurrency is divided by; *on_room* is
    called when few are left waiting; *elsewhere* knows the other lanes that a delivery may take.
    """

    def __init__(
        self,
        upstream: Upstream,
        clerk: Clerk,
        *,
        share: Callable[[], int],
        on_room: Callable[[], None],
        elsewhere: Elsewhere,
    ) -> None:
        self.upstream = upstream
        self.transport: Transport = TRANSPORTS[upstream.kind](upstream, clerk.rules().hostname, clerk.tokens)
        self.standing = Standing(clerk.rules().rng)
        self.has_more = False  # the table has more for us than we took
        self._clerk = clerk
        self._share = share
        self._on_room = on_room
        self.elsewhere = elsewhere
        self._gait = Gait(self._share_of_slots())
        self._purse: Purse | None = None
        self._was_shut = False  # by its purse
        self._take_new_purse()
        self._line = Line()
        self._runners: set[Runner] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bench = Bench()
        self._busy = 0
        self._busy_with_lower = 0
        self.ahead = 2 * self._share_of_slots()  # that may wait here: what is carried in two seconds
        self._finished = 0
        self._closed_because: str | None = None

    # Waiting -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._line)

    @property
    def room(self) -> int:
        """How many more deliveries may wait here; less than nothing if there are too many."""
        if self._purse is not None and self._purse.is_shut(self._clerk.clock.now()):
            return -len(self._line)
        if not self.standing.is_up:
            return 1 - len(self._line) - self._busy
        return min(self.ahead - self._line.ready, MOST_ASIDE - self._line.aside)

    def measure(self, period: timedelta) -> None:
        """Reckon what is carried in two seconds, from what was carried in the last *period*.

        Called every second: then it is also looked who rests in vain, and how many processes there are.
        """
        self._gait.set_to(self._share_of_slots())
        self._bench.dismiss_idle(self._clerk.clock.now())
        pace = round(2 * self._finished / period.total_seconds())
        self.ahead = min(max(pace, 2 * self._share_of_slots()), MOST_AHEAD)
        self._finished = 0
        if self._gait.recovered(self._clerk.clock.now()):
            self._write_down()

    def put(self, held: Held) -> None:
        """Let *held* wait for its turn, which may be now."""
        if self._closed_because is not None:
            self._clerk.give_back(held, self._closed_because)
            return
        held.destination = ""
        if self.upstream.kind is Kind.MX:
            apart = destinations_of(held.claimed.envelope)
            held.destination = next(iter(apart))
            if len(apart) > 1:
                self._clerk.split(held, tuple(map(tuple, apart.values())))
                return
        self._line.put(held)
        self._stir_one()

    def shed(self, number: int, reason: str) -> None:
        """Give the *number* least urgent back to the queue, where other processes see them."""
        for held in self._line.shed(number):
            self._clerk.give_back(held, reason)

    def stir(self) -> None:
        """Set to work whoever has something to do."""
        for _ in range(min(self._line.ready, self._gait.slots)):
            self._stir_one()

    def _stir_one(self) -> None:
        if not self._may_begin():
            return
        if not self._bench.wake_one() and len(self._runners) < self._gait.slots:
            runner = Runner(self, self._clerk)
            self._runners.add(runner)
            task = asyncio.ensure_future(runner.run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # Turns ---------------------------------------------------------------------------------------

    async def next(self, runner: Runner) -> Held | None:
        """The next delivery for *runner*; None: there is nothing for it to do, and it is to go."""
        while self._closed_because is None and len(self._runners) <= self._gait.slots:
            if self._may_begin():
                return self._pop()
            if not await self._bench.rest(self._clerk.clock.now()) and not self._may_begin():
                break
        self._runners.discard(runner)
        self._stir_one()  # one that rests may begin in the place of one too many
        return None

    def finished(self, held: Held, destination: str) -> None:
        """The turn of *held* there is over; it may wait for another by now, which leads elsewhere."""
        self._busy -= 1
        self._busy_with_lower -= held.claimed.priority is not Priority.VERY_HIGH
        self._finished += 1
        self._line.done(destination)

    def _share_of_slots(self) -> int:
        """How many there may be if the upstream bears them."""
        return max(self.upstream.concurrency // max(self._share(), 1), 1)

    def _may_begin(self) -> bool:
        """Whether the most urgent that waits may begin."""
        slots = self._gait.slots
        of_one_destination = -(-slots // _SHARES)
        while (first := self._line.first(of_one_destination)) is not None and first.is_lost:
            self._clerk.hands.let_go(self._line.leave())
        if first is None or self._busy >= slots or self._clerk.ledger.is_stuck:
            return False
        if not self.standing.is_up and (self._busy or self.standing.is_down(self._clerk.clock.now())):
            return False  # one probe goes first
        if first.claimed.priority is not Priority.VERY_HIGH and self._busy_with_lower >= max(slots - 1, 1):
            return False
        if self._gait.slowed_to is not None and self._gait.is_resting(self._clerk.clock.now()):
            return False
        return self._purse is None or self._purse.has_some(self._wanted)

    @property
    def _wanted(self) -> int:
        """How many to ask the purse's keeper for; of a batch, what is begun at once: it soon lapses."""
        at_once = self._gait.slots - self._busy
        waiting = self._line.ready
        return waiting if self.upstream.limits.batch is None else min(waiting, at_once)

    def _pop(self) -> Held:
        held = self._line.go()
        if self._purse is not None:
            self._purse.spend()
        if self._gait.slowed_to is not None:
            self._gait.begins(self._clerk.clock.now())
        if not self.standing.is_up:
            log.upstream_probed(upstream=self.upstream.name)
            self._write_down(State.PROBING)
        self._busy += 1
        self._busy_with_lower += held.claimed.priority is not Priority.VERY_HIGH
        if self.has_more and self._line.ready <= self.ahead // 2:
            self._on_room()
        return held

    # How the upstream fares ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it takes deliveries, as far as is known; one that is to be probed takes the probe."""
        if self.standing.is_up and self._purse is None:
            return True
        now = self._clerk.clock.now()
        if not self.standing.is_up and (self.standing.is_down(now) or self._busy or self._line):
            return False
        return not (self._purse and self._purse.is_shut(now))

    @property
    def is_waited_for(self) -> bool:
        """Whether it only had what it may be given for now, and its mail is to wait for the rest."""
        now = self._clerk.clock.now()
        is_spent = self._purse is not None and self._purse.is_shut(now)
        return is_spent and not self.upstream.limits.overflows and not self.standing.is_down(now)

    def bears(self, octets: int) -> bool:
        """Whether a message of that size may be offered at all."""
        most = self.upstream.limits.octets
        return most is None or octets <= most

    def has_others(self, runner: Runner) -> bool:
        """Whether connections stand besides that of *runner*."""
        return any(other.is_connected for other in self._runners if other is not runner)

    def works(self, now: datetime, sender: Address | None = None) -> None:
        """A message of *sender* was answered in order."""
        if self.standing.works(now, sender):
            log.upstream_up(upstream=self.upstream.name)
            self._write_down()
            self.stir()
            self._on_room()

    def hear(self, others: Iterable[Stand]) -> None:
        """Heed how the upstream stands with other processes."""
        told = self.standing.heeds(others, self._clerk.clock.now())
        if told is None:
            return
        log.upstream_heard(upstream=self.upstream.name, state=told.state.value, of=told.owner)
        self._write_down()
        if told.state is State.DOWN:
            self._pass_all_on()
        else:
            self.stir()
            self._on_room()

    def cannot_connect(self, held: Held, trouble: Trouble) -> None:
        """No connection could be opened for *held*.

        If others stand, the upstream bears just so many: then it gets more only by and by.
        """
        others = sum(runner.is_connected for runner in self._runners)
        if others and self.standing.is_up:
            self._gait.bears(others, self._clerk.clock.now())
            self._slowed(trouble.reply)
            self.put(held)
        else:
            self.go_down(trouble)
            self.pass_on(held)

    def slow_down(self, reply: Reply) -> None:
        """The upstream asked for less."""
        if self._gait.complained(self._clerk.clock.now()):
            self._slowed(reply)

    def _slowed(self, reply: Reply) -> None:
        connections = self._gait.slowed_to or 1
        log.upstream_slowed(upstream=self.upstream.name, reply=reply, connections=connections)
        self._write_down()

    def go_down(self, trouble: Trouble) -> None:
        """Leave the upstream alone for a while; what waits for it goes back into the queue, untried."""
        now = self._clerk.clock.now()
        if not self.standing.is_down(now):
            until = self.standing.went_down(trouble.reply, now, asked_for=trouble.pause)
            log.upstream_down(upstream=self.upstream.name, reply=trouble.reply, until=until)
            self._write_down()
        self._pass_all_on()

    def _purse_answered(self) -> None:
        """There is something to begin again, or for a while there is not."""
        assert self._purse is not None
        refusal = self._purse.refusal
        if refusal is None:
            if self._was_shut:
                self._write_down()
            self._was_shut = False
            self.stir()
        else:
            self._was_shut = True
            log.upstream_shut(upstream=self.upstream.name, why=self.why_shut, until=refusal.until)
            self._write_down()
            self._pass_all_on()

    @property
    def why_shut(self) -> str:
        """Why nothing is sent there, in a sentence."""
        stand = self._stand()
        return sentence(stand.state, self.upstream.name, stand.reason)

    def _write_down(self, state: State | None = None) -> None:
        """Let everybody see how the upstream stands with us."""
        self._clerk.stands(self._stand(state))

    def _stand(self, state: State | None = None) -> Stand:
        now, standing = self._clerk.clock.now(), self.standing
        slowed_to, upstream_id, owner = self._gait.slowed_to, self.upstream.id, self._clerk.owner
        refusal = self._purse.refusal if self._purse is not None and self._purse.is_shut(now) else None
        if standing.since is not None:
            state, until, reason = state or State.DOWN, standing.until, standing.reason
            return Stand(upstream_id, owner, state, standing.since, until, reason, slowed_to)
        if refusal is not None:
            return Stand(upstream_id, owner, refusal.why, now, refusal.until, refusal.spent, slowed_to)
        return Stand(upstream_id, owner, State.WORKS, now, slowed_to=slowed_to)

    def pass_on(self, held: Held) -> None:
        """Let another upstream of its route have it, at once; if there is none, the queue."""
        if not self.elsewhere.take(held, self.upstream.id, self.why_shut):
            self._clerk.give_back(held, self.why_shut)

    def _pass_all_on(self) -> None:
        for held in self._line.empty():
            self.pass_on(held)

    # Changes, and the end ------------------------------------------------------------------------

    def adopt(self, upstream: Upstream) -> None:
        """Go on with changed settings; connections made with the old ones carry nothing more."""
        if upstream == self.upstream:
            return
        leads_elsewhere = upstream.kind is not self.upstream.kind
        self.upstream = upstream
        self.transport = TRANSPORTS[upstream.kind](upstream, self._clerk.rules().hostname, self._clerk.tokens)
        # Perhaps that was what was wrong.
        self.standing = Standing(self._clerk.rules().rng, self._clerk.clock.now())
        self._gait = Gait(self._share_of_slots())
        self._take_new_purse()
        self._write_down()
        if leads_elsewhere:
            for held in self._line.empty():
                self.put(held)
        self.stir()

    def switch_off(self) -> None:
        """Let go of everything that waits, and of what might have begun."""
        self.give_all_back(f"Upstream {self.upstream.name} was switched off")
        self._take_new_purse()

    def _take_new_purse(self) -> None:
        """Begin with an empty one, if it has limits; what the last one held is given back."""
        if self._purse is not None:
            self._purse.close()
        self._was_shut, self._purse = False, None
        if self.upstream.limits.is_metered:
            self._purse = Purse(self.upstream, self._clerk, self._purse_answered, self._on_room)

    def give_back(self, why: Callable[[Held], str | None]) -> None:
        """Let go of those waiting for which *why* has a reason."""
        for held in self._line.empty():
            if (reason := why(held)) is None:
                self._line.put(held)
            else:
                self._clerk.give_back(held, reason)

    def give_all_back(self, reason: str) -> None:
        """Let go of everything that waits."""
        self.give_back(lambda _: reason)

    async def close(self, reason: str, seconds: float) -> None:
        """Give back what waits, let end what has begun; after *seconds* hang up on it."""
        self._closed_because = reason
        self.give_all_back(reason)
        self._bench.dismiss_all()
        asked = None if self._purse is None else self._purse.close()
        unfinished: set[asyncio.Future[Any]] = {*self._tasks, *filter(None, [asked])}
        if not unfinished:
            return
        _, late = await asyncio.wait(unfinished, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
