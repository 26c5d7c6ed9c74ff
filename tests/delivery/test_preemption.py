"""Who goes first, counted in transactions: an upstream that takes each message only when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest

from relay.db.database import Database
from relay.mail.priority import Priority
from relay.queue.accept import accept
from relay.queue.items import Part
from tests.delivery.makers import envelope_to, upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.upstream import Do, FakeUpstream

MANY, BACKLOG = 5000, 20
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Turnstile(asyncio.Event):
    """Lets through as many as it is told to, in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = asyncio.Semaphore(0)

    async def wait(self) -> Literal[True]:
        return await self._turns.acquire()

    def let(self, number: int) -> None:
        for _ in range(number):
            self._turns.release()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def turnstile(upstream: FakeUpstream) -> Turnstile:
    """Every message waits there, after its final dot, for its answer."""
    turnstile = Turnstile()
    upstream.on("DOT", Do(gate=turnstile))
    return turnstile


def arrived(upstream: FakeUpstream) -> list[str]:
    """Whom the messages are for, in the order in which they were at the upstream."""
    return [t.rcpts[0].removeprefix("RCPT TO:<").partition("@")[0] for t in upstream.transactions]


async def submit_bulk(office: Office) -> None:
    """5,000 messages of level 4, into the table."""
    for _ in range(MANY):
        office.db.write(accept, office.acceptance(envelope_to("bulk"), priority=Priority.LOW))
    await office.db.write(accept, office.acceptance(envelope_to("bulk"), priority=Priority.LOW))
    office.worker.wake()


@pytest.mark.parametrize("is_hot", [True, False], ids=["accepted here", "accepted by another process"])
async def test_level_1_overtakes_5000_of_level_4_without_waiting_for_any(
    db: Database, upstream: FakeUpstream, turnstile: Turnstile, is_hot: bool
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=4)).open(grace=SECOND / 10) as office:
        await submit_bulk(office)
        turnstile.let(100)
        await eventually(lambda: len(upstream.transactions) == 103)  # three are at it, one slot is free
        await office.submit("urgent", priority=Priority.VERY_HIGH, hot=is_hot)
        if not is_hot:
            await office.turn(SECOND)
        await eventually(lambda: len(upstream.transactions) == 104)
        assert arrived(upstream)[-1] == "urgent"  # and no other ended meanwhile


async def test_on_an_only_connection_level_1_waits_for_one_transaction(
    db: Database, upstream: FakeUpstream, turnstile: Turnstile
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open(grace=SECOND / 10) as office:
        await submit_bulk(office)
        turnstile.let(100)
        await eventually(lambda: len(upstream.transactions) == 101)
        await office.submit("urgent", priority=Priority.VERY_HIGH, hot=True)
        turnstile.let(1)
        await eventually(lambda: len(upstream.transactions) == 102)
        assert arrived(upstream)[-1] == "urgent"


async def test_a_send_of_many_parts_stops_for_level_1_and_goes_on(
    db: Database, upstream: FakeUpstream, turnstile: Turnstile
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        people = [f"member{number}" for number in range(1, 11)]
        whole = office.acceptance(envelope_to(*people), priority=Priority.LOW)
        (only,) = whole.parts
        parts = tuple(Part(n, "R1", (n,), only.due_at, only.rank_at) for n in only.recipients)
        await db.write(accept, whole._replace(parts=parts))
        office.worker.wake()
        turnstile.let(2)
        await eventually(lambda: len(upstream.transactions) == 3)
        await office.submit("urgent", priority=Priority.VERY_HIGH, hot=True)
        turnstile.let(20)
        await eventually(lambda: len(upstream.taken) == 11)
        assert arrived(upstream)[3] == "urgent"
        assert sorted(arrived(upstream)) == sorted([*people, "urgent"])


async def test_level_5_is_not_starved_by_a_steady_stream_of_level_2(
    db: Database, upstream: FakeUpstream, turnstile: Turnstile
) -> None:
    """There is always mail of level 2, and more comes all the time: level 5 goes after its head start."""
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open(grace=SECOND / 10) as office:
        head_start = office.settings.value.head_start_high // MINUTE
        for _ in range(BACKLOG):
            await office.submit("high", priority=Priority.HIGH)
        await eventually(lambda: len(upstream.transactions) == 1)
        await office.submit("patient", priority=Priority.VERY_LOW)
        minutes = 0
        while "patient" not in arrived(upstream):
            minutes += 1
            assert minutes <= head_start + BACKLOG + 5
            await office.turn(MINUTE)
            await office.submit("high", priority=Priority.HIGH)
            begun = len(upstream.transactions)
            turnstile.let(1)
            await eventually(lambda begun=begun: len(upstream.transactions) == begun + 1)  # type: ignore[misc]
        assert minutes >= head_start  # nor does it go before that
