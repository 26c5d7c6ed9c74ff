"""An operator stops the queue, or a part of it, and starts it again."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import Connection, insert

from relay.db.database import Database
from relay.db.tables import users
from relay.mail.session import Session
from relay.queue.stops import EVERYTHING, Reach, Stop, Stops
from tests.delivery.makers import upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.clock import NOON
from tests.kit.upstream import FakeUpstream, once_open


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


def stopped(reach: Reach) -> Stop:
    return Stop(reach, "it", "for a test", "cli:ann", NOON)


ALL = Stops(everything=stopped(EVERYTHING))


async def look(office: Office) -> None:
    """Have the worker look into the table, and see it through."""
    office.worker.wake()
    await asyncio.sleep(0)
    await office.db.read(lambda tx: None)


async def test_what_runs_may_finish_and_what_waits_goes_back_until_it_is_started_again(
    db: Database, upstream: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        first = await office.submit("r0", hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        others = [await office.submit(f"r{number}", hot=number % 2 == 0) for number in range(1, 6)]
        office.stops.value = ALL
        office.worker.wake()
        for message in others:
            await office.until_state(message, "queued")
        assert (await office.row(others[1])).reason == "The queue was stopped by cli:ann: for a test"
        gate.set()
        await office.until_state(first, "done")
        late = await office.submit("late", hot=True)
        await look(office)
        assert await office.state(late) == "queued"
        assert len(upstream.taken) == 1
        office.stops.value = Stops()
        office.worker.wake()
        for message in (*others, late):
            await office.until_state(message, "done")


async def test_no_other_upstream_steps_in_for_one_that_is_stopped(
    db: Database, upstream: FakeUpstream
) -> None:
    async with FakeUpstream() as second:
        first, other = upstream_at(upstream.port), upstream_at(second.port, id="U2", name="other")
        async with Office(db, first, other).open() as office:
            office.stops.value = Stops(upstreams={first.id: stopped(Reach(upstream_id=first.id))})
            message = await office.submit("bob", hot=True)
            await look(office)
            assert await office.state(message) == "queued"
            office.stops.value = Stops()
            office.worker.wake()
            await office.until_state(message, "done")
        assert (len(upstream.taken), len(second.taken)) == (1, 0)


async def test_mail_of_a_stopped_user_stays_and_that_of_others_goes_past_it(
    db: Database, upstream: FakeUpstream
) -> None:
    await db.write(_add_user, "bob")
    sent_by_bob = Session("s1", "submission", "192.0.2.7", user_id="bob", user="bob")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        office.stops.value = Stops(users={"bob": stopped(Reach(user_id="bob"))})
        cold = await office.submit("cid", session=sent_by_bob)
        hot = await office.submit("cid", session=sent_by_bob, hot=True)
        await office.until_state(await office.submit("dan"), "done")
        await office.until_state(hot, "queued")
        assert await office.state(cold) == "queued"
        office.stops.value = Stops()
        office.worker.wake()
        await office.until_state(cold, "done")
        await office.until_state(hot, "done")


def _add_user(tx: Connection, names: Sequence[str]) -> list[None]:
    for name in names:
        tx.execute(insert(users).values(id=name, name=name, created_at=NOON))
    return [None] * len(names)


async def test_who_is_cancelled_while_a_message_is_out_writes_that_down_and_begins_nothing_more(
    db: Database, upstream: FakeUpstream
) -> None:
    # So ends a process whose scribe is gone: one task that went on would keep it from ending.
    upstream.on("DOT", once_open(asyncio.Event()))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        out = await office.submit("out", hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        await office.submit("next", hot=True)
        running = [task for task in asyncio.all_tasks() if "Runner.run" in repr(task)]
        for task in running:
            task.cancel()
        ended, _ = await asyncio.wait(running, timeout=5)
        assert len(ended) == len(running) == 1
        await office.until_state(out, "waiting")
        assert "perhaps it was delivered" in str((await office.row(out)).reason)
        assert len(upstream.transactions) == 1
