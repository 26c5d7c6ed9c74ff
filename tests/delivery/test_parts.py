"""Many recipients: transaction behind transaction, and what happens to some holds up nobody else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from relay.db.database import Database
from relay.db.tables import deliveries
from relay.mail.priority import Priority
from relay.queue.accept import accept
from relay.queue.items import Origin
from relay.queue.parts import divide
from relay.routing.limits import Limits
from tests.delivery.makers import envelope_to, upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.upstream import DROP, Do, FakeUpstream

MINUTE = timedelta(minutes=1)
AT_MOST_2 = Limits(recipients=2)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


def crowd(number: int) -> list[str]:
    return [f"r{each}" for each in range(1, number + 1)]


def sizes(upstream: FakeUpstream) -> list[int]:
    """How many recipients each transaction had."""
    return [len(transaction.rcpts) for transaction in upstream.taken]


async def parts(db: Database, message: str) -> Sequence[Any]:
    """The deliveries of a message, as they stand."""
    query = select(deliveries).where(deliveries.c.message_id == message).order_by(deliveries.c.part)
    return await db.read(lambda tx: list(tx.execute(query)))


async def are_done(office: Office, message: str) -> bool:
    return {part.state for part in await parts(office.db, message)} == {"done"}


async def ends(office: Office, message: str) -> Counter[str]:
    return Counter(state for state, _ in (await office.ends(message)).values())


# No clock is turned in any of these: whatever is not sent at once would never be.


@pytest.mark.parametrize("who", ["we know it", "the upstream says it"])
async def test_three_hundred_recipients_go_fifty_at_a_time_one_behind_the_other(
    db: Database, upstream: FakeUpstream, who: str
) -> None:
    upstream.most_recipients = 50
    limits = Limits(recipients=50) if who == "we know it" else Limits()
    async with Office(db, upstream_at(upstream.port, limits=limits)).open() as office:
        acceptance = office.acceptance(envelope_to(*crowd(300)))
        (whole,) = acceptance.parts
        hundreds = divide({"R1": whole.recipients}, at_most=100, due_at=whole.due_at, rank_at=whole.rank_at)
        await db.write(accept, acceptance._replace(parts=hundreds))
        office.worker.wake()
        await eventually(lambda: are_done(office, acceptance.id))
        assert await ends(office, acceptance.id) == {"delivered": 300}
        attempts = await office.attempts(acceptance.id)
    assert sizes(upstream) == [50] * 6
    assert sorted((attempt.part, attempt.number) for attempt in attempts) == [(n, 1) for n in range(1, 7)]
    assert len({rcpt for transaction in upstream.taken for rcpt in transaction.rcpts}) == 300


async def test_one_that_must_wait_keeps_nobody_else_waiting(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "450 4.7.1 Greylisted", matching="r1@")
    upstream.on("RCPT", "550 5.1.1 No such user", matching="r2@")
    async with Office(db, upstream_at(upstream.port, limits=AT_MOST_2)).open() as office:
        message = await office.submit(*crowd(5))

        async def only_one_is_open() -> bool:
            return await ends(office, message) == {"open": 1, "failed": 1, "delivered": 3}

        await eventually(only_one_is_open)
        first, *others = await parts(db, message)
        assert (first.state, first.reason) == ("waiting", "450 4.7.1 Greylisted")
        assert 30 * MINUTE <= first.due_at - office.clock.now() <= 33 * MINUTE
        assert [part.state for part in others] == ["done", "done"]
        assert len(await office.messages(Origin.BOUNCE)) == 1

        upstream.rules.clear()
        await office.turn(34 * MINUTE)
        await eventually(lambda: are_done(office, message))
        assert await ends(office, message) == {"failed": 1, "delivered": 4}
    assert [len(t.rcpts) for t in upstream.taken if not t.mail.startswith("MAIL FROM:<>")] == [2, 1, 1]


async def test_nor_do_all_of_a_transaction_that_is_put_off(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("DOT", "451 4.3.0 Not now", times=1)
    async with Office(db, upstream_at(upstream.port, concurrency=1, limits=AT_MOST_2)).open() as office:
        message = await office.submit(*crowd(4))

        async def half_of_it_is_there() -> bool:
            return await ends(office, message) == {"open": 2, "delivered": 2}

        await eventually(half_of_it_is_there)
        assert [part.state for part in await parts(db, message)] == ["waiting", "done"]


async def test_a_line_that_breaks_under_one_transaction_is_no_concern_of_the_others(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("DOT", DROP, times=1)
    async with Office(db, upstream_at(upstream.port, concurrency=1, limits=AT_MOST_2)).open() as office:
        message = await office.submit(*crowd(4))

        async def half_of_it_is_there() -> bool:
            return await ends(office, message) == {"open": 2, "delivered": 2}

        await eventually(half_of_it_is_there)
        first, _ = await parts(db, message)
        assert first.due_at - office.clock.now() >= timedelta(hours=4), "perhaps they have it already"


async def test_what_is_more_urgent_goes_between_two_transactions(
    db: Database, upstream: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", Do(gate=gate), times=1)
    async with Office(db, upstream_at(upstream.port, concurrency=1, limits=AT_MOST_2)).open() as office:
        many = await office.submit(*crowd(6))
        await eventually(lambda: len(upstream.transactions) == 1)
        urgent = await office.submit("urgent", priority=Priority.HIGH, hot=True)
        gate.set()
        await office.until_state(urgent, "done")
        await eventually(lambda: are_done(office, many))
    assert [t.rcpts[0].partition("@")[0].partition("<")[2] for t in upstream.taken[:2]] == ["r1", "urgent"]


async def test_where_there_is_room_for_nobody_all_wait(db: Database, upstream: FakeUpstream) -> None:
    upstream.most_recipients = 0
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit(*crowd(3))
        await office.until_state(message, "waiting")
        assert len(await office.attempts(message)) == 1
        assert upstream.connections == 1
