"""What was delivered is written down, whatever becomes of the database meanwhile; leases say whose it is."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update
from sqlalchemy.exc import OperationalError

from relay.db.database import Database
from relay.db.tables import deliveries
from relay.queue.claim import LEASE
from relay.queue.items import Origin
from tests.delivery.makers import upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.upstream import FakeUpstream, later, once_open


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


class Outage:
    """While it is on, every statement fails as if the database were away."""

    def __init__(self) -> None:
        self.is_on = False

    def __call__(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self.is_on:
            raise OperationalError(statement, {}, ConnectionError("the database is away"))


@pytest.fixture
def outage(engine: Engine) -> Iterator[Outage]:
    outage = Outage()
    event.listen(engine, "before_cursor_execute", outage)
    yield outage
    event.remove(engine, "before_cursor_execute", outage)


async def test_a_delivery_is_written_down_when_the_database_is_back(
    db: Database, upstream: FakeUpstream, outage: Outage
) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    for gate in reversed(gates):
        upstream.on("DOT", once_open(gate), times=1)
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        messages = [await office.submit("bob", hot=True) for _ in range(5)]
        await eventually(lambda: len(upstream.transactions) == 1)
        outage.is_on = True
        gates[0].set()
        await eventually(lambda: office.worker._clerk.ledger.is_stuck)
        gates[1].set()
        await eventually(lambda: len(upstream.taken) == 2)
        for _ in range(5):
            await office.turn(timedelta(seconds=16))
        assert not office.worker.accepts("R1"), "nothing new is begun that could not be written down"
        assert sum(line.startswith("MAIL") for line in upstream.commands) == 2
        outage.is_on = False

        async def all_are_done() -> bool:
            await office.turn(timedelta(seconds=16))
            return all([await office.state(message) == "done" for message in messages])

        await eventually(all_are_done)
        for message in messages:
            assert [a.number for a in await office.attempts(message)] == [1]
    assert len(upstream.taken) == len(messages)


async def test_a_database_that_does_not_answer_stops_the_road_before_too_much_hangs_on_it(
    db: Database, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.delivery.ledger.MOST_UNWRITTEN", 3)
    hanging, goes_on = threading.Event(), threading.Event()

    def hang(_tx: Any, items: Any) -> list[None]:
        hanging.set()
        goes_on.wait()
        return [None for _ in items]

    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        messages = [await office.submit("bob", hot=True) for _ in range(10)]
        hung = db.write(hang, None)
        await eventually(hanging.is_set)
        gate.set()
        await eventually(lambda: office.worker._clerk.ledger.is_stuck)
        await eventually(lambda: len(upstream.taken) == 3)
        assert not office.worker.accepts("R1")
        goes_on.set()
        await hung
        for message in messages:
            await office.until_state(message, "done")
    assert len(upstream.taken) == len(messages)


async def test_a_fault_of_our_own_in_writing_is_no_reason_to_send_twice(
    db: Database, upstream: FakeUpstream, engine: Engine
) -> None:
    async with Office(db, upstream_at(upstream.port)).open() as office:
        with engine.begin() as tx:
            tx.execute(text("ALTER TABLE attempts RENAME TO attempts_away"))
        message = await office.submit("bob", hot=True)
        await eventually(lambda: bool(office.worker._clerk.ledger._insisting))
        for _ in range(20):
            await office.turn(LEASE / 4)
        assert await office.state(message) == "leased", "the lease is renewed as long as it takes"
        with engine.begin() as tx:
            tx.execute(text("ALTER TABLE attempts_away RENAME TO attempts"))

        async def is_done() -> bool:
            await office.turn(timedelta(seconds=16))
            return str(await office.state(message)) == "done"

        await eventually(is_done)
    assert len(upstream.taken) == 1


async def test_a_long_delivery_keeps_its_lease(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("DOT", later(0.5))
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        for _ in range(6):
            await office.turn(LEASE / 3)
            await office.db.read(lambda tx: None)
        await office.until_state(message, "done")
        assert (await office.ends(message))[1][0] == "delivered"
    assert len(upstream.taken) == 1


async def test_what_somebody_else_took_over_is_not_begun(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("DOT", later(60))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        await office.submit("bob", hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        message = await office.submit("cid", hot=True)

        def give_away(tx: Any, _: Any) -> list[None]:
            tx.execute(
                update(deliveries)
                .where(deliveries.c.message_id == message)
                .values(leased_by="other/0", leased_until=office.clock.now() + timedelta(hours=1))
            )
            return [None]

        await db.write(give_away, None)
        await office.turn(LEASE * 0.6)
        held = next(h for h in office.worker._hands._held if h.claimed.key.message_id == message)
        await eventually(lambda: held.is_lost)
        await upstream.stop()
        upstream.rules.clear()
        async with upstream:
            await office.turn(timedelta(seconds=30))
            await eventually(lambda: office.handover.in_hand == 0)
            assert not any("cid" in line for line in upstream.commands)
        assert (await office.row(message)).leased_by == "other/0"


async def test_deliveries_of_a_dead_process_are_taken_up_when_their_lease_ran_out(
    db: Database, upstream: FakeUpstream
) -> None:
    dead = Office(db, upstream_at(upstream.port), owner="node/1")
    dead.handover.taker = lambda _claimed: None
    message = await dead.submit("bob", hot=True)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        assert await office.state(message) == "leased"
        await office.turn(LEASE + timedelta(seconds=1))
        await office.until_state(message, "done")
    assert len(upstream.taken) == 1


async def test_a_report_that_cannot_be_composed_loses_nothing(
    db: Database, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("relay.delivery.reports.compose_report", broken)
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", "cid")
        await office.until_state(message, "waiting")
        assert {number: end[0] for number, end in (await office.ends(message)).items()} == {
            1: "open",
            2: "delivered",
        }
        monkeypatch.undo()
        await office.turn(timedelta(minutes=34))
        await office.until_state(message, "done")
        assert len(await office.messages(Origin.BOUNCE)) == 1
    assert sum("cid" in "".join(t.rcpts) for t in upstream.taken) == 1
