"""A worker with its queue, for tests: mail goes in, time is turned by hand, its end is read back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from relay.budget import Budget
from relay.current import Current
from relay.db.database import Database
from relay.db.tables import attempts, deliveries, messages, recipients
from relay.delivery.stationery import PLAIN
from relay.delivery.worker import Worker
from relay.ids import id_source
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.mail.session import Session
from relay.notify.lateness import late_at
from relay.queue.accept import accept
from relay.queue.claim import LEASE
from relay.queue.handover import HandOver
from relay.queue.items import Acceptance, Claimed, DeliveryKey, Lease, Origin, Part
from relay.queue.rank import rank_at
from relay.queue.stops import Stops
from relay.routing.routes import Leg, Route, RoutingTable
from relay.routing.upstreams import Upstream
from relay.settings import Settings
from tests.delivery.makers import LETTER, envelope_to
from tests.kit.clock import HandClock

PATIENCE = 20


def table_of(*upstreams: Upstream) -> RoutingTable:
    """One default route "R1" over these upstreams, in this order."""
    route = Route("R1", "default", None, tuple(Leg(u.id, rank) for rank, u in enumerate(upstreams, 1)))
    return RoutingTable({upstream.id: upstream for upstream in upstreams}, (route,), route)


class Office:
    """Everything around a worker."""

    def __init__(self, db: Database, *upstreams: Upstream, owner: str = "node/0", processes: int = 1) -> None:
        self.db = db
        self.clock = HandClock()
        self.owner = owner
        self.handover = HandOver(Budget(64 * 1024 * 1024))
        self.routing = Current(table_of(*upstreams))
        self.settings = Current(Settings())
        self.stops = Current(Stops())
        self.stationery = Current(PLAIN)
        self.new_id = id_source(Random(1))
        self.worker = Worker(
            db=db,
            clock=self.clock,
            routing=self.routing,
            settings=self.settings,
            handover=self.handover,
            owner=owner,
            new_id=self.new_id,
            rng=Random(2),
            hostname="relay.example",
            processes=Current(processes),
            stops=self.stops,
            stationery=self.stationery,
        )

    @asynccontextmanager
    async def open(self, grace: timedelta = timedelta(seconds=1)) -> Any:
        """Run the worker meanwhile; in the end it has *grace* to finish what has begun."""
        running = asyncio.ensure_future(self._keep_running())
        await eventually(lambda: self.handover.taker is not None)
        try:
            yield self
        finally:
            await self.worker.stop(grace)
            await running

    async def _keep_running(self) -> None:
        while True:
            try:
                return await self.worker.run()
            except SQLAlchemyError:
                await asyncio.sleep(0.01)

    async def turn(self, duration: timedelta) -> None:
        """Let time pass, and the worker look."""
        self.clock.turn(duration)
        self.worker.wake()
        await asyncio.sleep(0)

    # Mail in -------------------------------------------------------------------------------------

    async def submit(self, *to: str, hot: bool = False, sender: str = "ann@example.com", **more: Any) -> str:
        """Accept a letter, into the table or the short way; returns its id."""
        acceptance = self.acceptance(envelope_to(*(to or ("bob",)), sender=sender), **more)
        is_hot = hot and self.handover.reserve("R1", len(acceptance.content), acceptance.priority)
        if is_hot:
            lease = Lease(self.owner, self.clock.now() + LEASE)
            acceptance = acceptance._replace(parts=(acceptance.parts[0]._replace(lease=lease),))
        await self.db.write(accept, acceptance)
        if is_hot:
            self.handover.put(self.claimed(acceptance))
        else:
            self.worker.wake()
        return acceptance.id

    def acceptance(
        self,
        envelope: Envelope,
        content: bytes = LETTER,
        *,
        priority: Priority = Priority.NORMAL,
        origin: Origin = Origin.SUBMISSION,
        lifetime: timedelta = timedelta(days=4),
        session: Session | None = None,
    ) -> Acceptance:
        """A message as the door in makes it."""
        now = self.clock.now()
        rank = rank_at(now, priority, self.settings.value)
        numbers = tuple(r.number for r in envelope.recipients)
        return Acceptance(
            id=self.new_id(now),
            accepted_at=now,
            expires_at=now + lifetime,
            origin=origin,
            envelope=envelope,
            content=content,
            priority=priority,
            parts=(Part(1, "R1", numbers, due_at=now, rank_at=rank),),
            session=session,
            late_at=late_at(envelope, now, self.settings.value),
        )

    def claimed(self, acceptance: Acceptance) -> Claimed:
        """The delivery as the door in hands it over."""
        part = acceptance.parts[0]
        assert part.lease is not None
        return Claimed(
            key=DeliveryKey(acceptance.id, part.part),
            number=1,
            route_id=part.route_id,
            priority=acceptance.priority,
            rank_at=part.rank_at,
            accepted_at=acceptance.accepted_at,
            expires_at=acceptance.expires_at,
            lease=part.lease,
            origin=acceptance.origin,
            user_id=acceptance.session.user_id if acceptance.session else None,
            octets=len(acceptance.content),
            envelope=acceptance.envelope,
            content=acceptance.content,
        )

    # What became of it ---------------------------------------------------------------------------

    async def state(self, message_id: str) -> str:
        """The state of the message's delivery."""
        return str((await self.row(message_id)).state)

    async def row(self, message_id: str) -> Any:
        """The message's delivery, whole."""
        return await self.db.read(
            lambda tx: tx.execute(select(deliveries).where(deliveries.c.message_id == message_id)).one()
        )

    async def ends(self, message_id: str) -> Mapping[int, tuple[str, str | None]]:
        """State and last word of each recipient, by number."""

        def read(tx: Connection) -> Mapping[int, tuple[str, str | None]]:
            rows = tx.execute(select(recipients).where(recipients.c.message_id == message_id))
            return {row.number: (str(row.state), row.reply) for row in rows}

        return await self.db.read(read)

    async def attempts(self, message_id: str) -> list[Any]:
        """All attempts that were recorded."""
        query = select(attempts).where(attempts.c.message_id == message_id).order_by(attempts.c.number)
        return await self.db.read(lambda tx: list(tx.execute(query)))

    async def messages(self, origin: Origin) -> list[Any]:
        """All messages of that origin."""
        query = select(messages).where(messages.c.origin == origin.value).order_by(messages.c.id)
        return await self.db.read(lambda tx: list(tx.execute(query)))

    async def until_state(self, message_id: str, state: str) -> None:
        """Wait until the message's delivery is in that state."""

        async def is_there() -> bool:
            return await self.state(message_id) == state

        await eventually(is_there)

    async def until_due(self, message_id: str, at: datetime) -> None:
        """Wait until the message's delivery is to be tried at that moment."""

        async def is_due() -> bool:
            return bool((await self.row(message_id)).due_at == at)

        await eventually(is_due)

    async def until_done_in_time(self, message_id: str) -> None:
        """Wait until the message's delivery is done, and let time pass while it waits in the table."""

        async def is_done() -> bool:
            state = await self.state(message_id)
            if state == "queued":
                await self.turn(timedelta(minutes=1))
            return state == "done"

        await eventually(is_done)

    async def until_settled(self, message_id: str) -> None:
        """Wait until every recipient of the message has its end."""

        async def all_are() -> bool:
            return "open" not in {state for state, _ in (await self.ends(message_id)).values()}

        await eventually(all_are)


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait until *condition* holds; how long that takes is no matter, unless it is for ever."""
    async with asyncio.timeout(PATIENCE):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.005)
