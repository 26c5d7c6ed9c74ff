"""The door out of one process: takes what is due from the queue, and shares it out to the lanes.

Law 3: being woken is a hint.  About once a second it looks into the table by itself, so a lost hint
costs a second, never mail.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random

from relay import log
from relay.clock import Clock
from relay.current import Current
from relay.db.database import Database
from relay.delivery.clerk import Clerk
from relay.delivery.expiry import settlement_of_expired
from relay.delivery.hands import Hands, Held
from relay.delivery.lane import Lane
from relay.delivery.late import tell_of_delays
from relay.delivery.oauth.tokens import OwnTokens, TokenSource
from relay.delivery.roads import Roads
from relay.delivery.rules import InForce
from relay.delivery.stationery import PLAIN, Stationery
from relay.mail.priority import Priority
from relay.queue.claim import LEASE, ClaimOrder, Renewal, TakeBack, claim_due, due_but_of, renew, take_back
from relay.queue.content import read_content
from relay.queue.demand import routes_in_demand
from relay.queue.handover import HandOver
from relay.queue.items import Claimed
from relay.queue.janitor import AT_MOST, ExpiryOrder, claim_expired, has_due, promote
from relay.queue.last_words import LastWords, last_words
from relay.queue.stops import Stops
from relay.routing.routes import RoutingTable
from relay.routing.standing import load_stands
from relay.settings import Settings

POLL = timedelta(seconds=1)
_EXPIRED_AT_ONCE = 100
_STOPPED = "The relay was stopped before its turn came"
_HOT_LEAST = 10  # deliveries that may wait in the memory of all processes, however slow their upstream is
_MOST_FIRST = 2000  # deliveries waiting for one upstream beyond which even level 1 waits in the table


class Worker:
    """Delivers, from `run` until `stop`.

    *owner* is the name that leases are taken in; *processes* is the number of relay processes that
    live, by which limits are divided.
    """

    def __init__(  # noqa: PLR0913  it is built in one place, from all of these
        self,
        *,
        db: Database,
        clock: Clock,
        routing: Current[RoutingTable],
        settings: Current[Settings],
        handover: HandOver,
        owner: str,
        new_id: Callable[[datetime], str],
        rng: Random,
        hostname: str,
        processes: Current[int] | None = None,
        stationery: Current[Stationery] | None = None,
        stops: Current[Stops] | None = None,
        tokens: TokenSource | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._stops = stops or Current(Stops())
        self._handover = handover
        self._owner = owner
        self._hands = Hands(handover)
        self._clerk = Clerk(
            db=db,
            clock=clock,
            hands=self._hands,
            rules=InForce(
                settings,
                routing,
                stationery or Current(PLAIN),
                hostname=hostname,
                new_id=new_id,
                rng=rng,
            ),
            on_more=self._go_on,
            tokens=tokens or OwnTokens(clock),
            owner=owner,
        )
        self._processes = processes or Current(1)
        self._roads = Roads(
            routing,
            self._clerk,
            stops=self._stops,
            share=lambda: self._processes.value,
            on_room=self.wake,
        )
        self._backlog: set[str] = set()  # routes with more in the table than we took
        self._rung = asyncio.Event()
        self._last_look = clock.now() - POLL
        self._is_stopping = False

    # From outside --------------------------------------------------------------------------------

    def take(self, claimed: Claimed) -> None:
        """Deliver what the door in has just accepted and leased to us."""
        self._admit(self._hands.take_hot(claimed))

    def accepts(self, route_id: str, priority: Priority = Priority.NORMAL) -> bool:
        """Whether a delivery by this route may come the short way.

        Not while others wait in the table, which may be more urgent, and not while it would wait here
        for long: there everybody can see why it waits, and take it in hand.  Nothing is more urgent
        than level 1: it comes always, past all of them.
        """
        if self._is_stopping or self._clerk.ledger.is_stuck:
            return False
        is_first = priority is Priority.VERY_HIGH
        if route_id in self._backlog and not is_first:
            return False
        lane = self._roads.lane_for(route_id)
        if lane is None or not lane.standing.is_up:
            return False
        if len(lane) >= (_MOST_FIRST if is_first else max(lane.ahead, _HOT_LEAST // self._processes.value)):
            self._backlog.add(route_id)
            lane.has_more = True
            return False
        return True

    def wake(self) -> None:
        """Look into the table now: something may be due."""
        self._rung.set()

    async def run(self) -> None:
        """Deliver until stopped.  Raises DBAPIError when the database is away; run it again then."""
        self._handover.taker, self._handover.accepts = self.take, self.accepts
        while not self._is_stopping:
            self._rung.clear()
            await self._look()
            timer = asyncio.get_running_loop().call_later(POLL.total_seconds(), self.wake)
            await self._rung.wait()
            timer.cancel()

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more; let end what has begun, as far as *grace* goes, and give the rest back."""
        loop = asyncio.get_running_loop()
        until = loop.time() + grace.total_seconds()
        self._is_stopping = True
        self.wake()
        await self._roads.close(_STOPPED, grace.total_seconds() * 0.8)
        self._handover.taker = None
        with suppress(TimeoutError):  # then the leases run out, and what was sent is sent again: law 4
            async with asyncio.timeout(max(until - loop.time(), 0.1)):
                await self._clerk.ledger.all_written()
        self._clerk.ledger.close()

    # Looking into the table ----------------------------------------------------------------------

    async def _look(self) -> None:
        now = self._clock.now()
        self._roads.heed_changes()
        is_time = not timedelta(0) <= now - self._last_look < POLL  # also if the clock was put back
        if is_time:
            self._roads.measure(max(now - self._last_look, POLL))
            self._last_look = now
            await self._renew(now)
            self._roads.hear(await self._db.read(load_stands, now, but_of=self._owner))
            if await self._db.read(has_due, now):
                await self._move_on(now)
        if not self._clerk.ledger.is_stuck:
            await self._claim(now, may_trade=is_time)

    async def _claim(self, now: datetime, *, may_trade: bool) -> None:
        """Take what there is room for, most urgent first.

        A lane without room may still trade one for a more urgent one that waits in the table.
        """
        demanded = await self._db.read(routes_in_demand)
        by_lane = self._roads.by_lane(demanded)
        wanted = Counter[str]()
        trading: set[Lane] = set()
        for lane, route_ids in by_lane.items():
            if (room := lane.room) > 0:
                wanted.update(dict.fromkeys(route_ids, -(-room // len(route_ids))))
        for lane, route_ids in by_lane.items():
            if may_trade and lane.room <= 0 and lane.standing.is_up and wanted.keys().isdisjoint(route_ids):
                wanted.update(dict.fromkeys(route_ids, 1))
                trading.add(lane)
        taken = Counter[str]()
        if wanted:
            for claimed in await self._claimed(now, wanted, _no_probes(by_lane)):
                self._admit(self._hands.take(claimed))
                taken[claimed.route_id] += 1
        self._backlog = {r for r in demanded if taken[r] >= wanted.get(r, 0)}
        for lane, route_ids in by_lane.items():
            lane.has_more = not self._backlog.isdisjoint(route_ids)
            if lane in trading:
                taken_for_it = min(sum(taken[r] for r in route_ids), max(-lane.room, 0))
                lane.shed(taken_for_it, "It waits for more urgent mail")

    async def _claimed(
        self, now: datetime, wanted: Mapping[str, int], shunned: Mapping[str, Collection[str]]
    ) -> list[Claimed]:
        """What is due of *wanted*, leased to us, but nothing of users who are stopped.

        Of senders who are *shunned*, by route, only if nobody else's is.
        """
        among = None
        users = tuple(self._stops.value.users)
        if users or shunned:
            among = tuple(await self._db.read(due_but_of, wanted, users, shunned))
            if not among:
                return []
        return await self._db.write(claim_due, ClaimOrder(self._owner, now, LEASE, wanted, among))

    async def _renew(self, now: datetime) -> None:
        if expiring := self._hands.expiring(now):
            until, keys = now + LEASE, [held.claimed.key for held in expiring]
            lost = await self._db.write(renew, Renewal(self._owner, keys, until))
            for held in expiring:
                held.until = until
                held.is_lost = held.claimed.key in lost

    async def _move_on(self, now: datetime) -> None:
        """What time brings: waiting mail falls due, leases of the dead end, what is too old is given up."""
        while await self._db.write(promote, now) == AT_MOST:
            pass
        if freed := await self._db.write(take_back, TakeBack(now)):
            log.leases_taken_back(deliveries=freed, why="their leases ran out")
        order = ExpiryOrder(self._owner, now, LEASE, _EXPIRED_AT_ONCE)
        if expired := await self._db.write(claim_expired, order):
            keys = [claimed.key for claimed in expired]
            # Before they are taken, as their contents: if this cannot be read, their leases run out.
            last = await self._db.read(last_words, keys, self._clerk.rules().routing, now)
            for claimed in expired:
                await self._give_up(claimed, last[claimed.key], now)
        if await tell_of_delays(self._db, now, self._clerk.rules()):
            self._go_on()

    async def _give_up(self, claimed: Claimed, last: LastWords, now: datetime) -> None:
        content = claimed.content
        if content is None:
            # One at a time, and without waiting for what is being sent: meanwhile nobody renews leases.
            content = await self._db.read(read_content, claimed.key.message_id)
        claimed = claimed._replace(content=None)  # it need not travel to the scribe a second time
        settlement = settlement_of_expired(claimed, content or b"", last, now, self._clerk.rules())
        self._clerk.enter(self._hands.take(claimed), settlement)

    def _admit(self, held: Held) -> None:
        """Put *held* where it goes, or back if it can go nowhere now."""
        route_id = held.claimed.route_id
        lane = self._roads.lane_for(route_id, held.claimed.octets)
        stop = self._stops.value.of(user_id=held.claimed.user_id)
        if self._is_stopping:
            self._clerk.give_back(held, _STOPPED)
        elif stop is not None:
            self._clerk.give_back(held, stop.sentence)
        elif lane is None:
            self._clerk.give_back(held, self._roads.why_not(route_id))
        else:
            lane.put(held)

    def _go_on(self) -> None:
        """Something new may begin: there is mail of our own making, or the database is back."""
        self._roads.stir()
        self.wake()


def _no_probes(by_lane: Mapping[Lane, Sequence[str]]) -> Mapping[str, Collection[str]]:
    """Whose mail is no good probe, by route, where the next delivery is one."""
    return {
        route_id: [str(sender) for sender in lane.standing.shunned]
        for lane, route_ids in by_lane.items()
        for route_id in route_ids
        if not lane.standing.is_up and lane.standing.shunned
    }
