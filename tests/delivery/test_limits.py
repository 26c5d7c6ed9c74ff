"""How much upstreams are given: routes with weights, limits over all processes, less after a complaint."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from relay.db.audit import Author
from relay.db.database import Database
from relay.db.tables import upstream_grants, upstream_standing
from relay.delivery.gait import Gait
from relay.ids import id_source
from relay.queue.accept import accept
from relay.routing.changes import NewUpstream, add_upstream
from relay.routing.limits import Limits
from relay.routing.routes import Leg, Route, RoutingTable
from relay.routing.upstreams import Upstream
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import Office, eventually, table_of
from tests.delivery.test_preemption import Turnstile
from tests.kit.clock import NOON
from tests.kit.upstream import Do, FakeUpstream, later

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
async def second() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as second:
        yield second


async def known(db: Database, *upstreams: Upstream) -> None:
    """Have the database know these, as limits and standings are kept beside them."""
    author = Author("cli:tester", NOON, id_source())
    for each in upstreams:
        await db.write(add_upstream, NewUpstream(author, each))


def led(*ranks: tuple[tuple[Upstream, int], ...]) -> RoutingTable:
    """The default route "R1" over these, rank by rank, each with its weight."""
    legs = tuple(
        Leg(each.id, rank, weight) for rank, together in enumerate(ranks, 1) for each, weight in together
    )
    route = Route("R1", "default", None, legs)
    return RoutingTable({each.id: each for together in ranks for each, _ in together}, (route,), route)


def takes(office: Office) -> bool:
    """Whether the default route leads anywhere now."""
    return office.worker._roads.lane_for("R1") is not None


async def used(office: Office, *messages: str) -> Counter[str]:
    """By which upstreams these messages went."""
    return Counter([a.upstream for message in messages for a in await office.attempts(message)])


async def all_done(office: Office, messages: list[str]) -> None:
    for message in messages:
        await office.until_state(message, "done")


async def stands(db: Database) -> list[Any]:
    query = select(upstream_standing).order_by(upstream_standing.c.upstream_id, upstream_standing.c.owner)
    return await db.read(lambda tx: list(tx.execute(query)))


# --- routes ---------------------------------------------------------------------------------------


async def test_upstreams_of_one_rank_share_by_weight(
    db: Database, upstream: FakeUpstream, second: FakeUpstream
) -> None:
    one = upstream_at(upstream.port, concurrency=100)
    other = upstream_at(second.port, id="U2", name="second", concurrency=100)
    office = Office(db, one, other)
    office.routing.value = led(((one, 3), (other, 1)))
    async with office.open():
        messages = [await office.submit("bob", hot=True) for _ in range(120)]
        await all_done(office, messages)
        shares = await used(office, *messages)
    assert shares.total() == 120
    assert 75 <= shares["next"] <= 105


async def test_what_waits_for_one_that_went_down_goes_to_the_next_at_once(
    db: Database, upstream: FakeUpstream, second: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("MAIL", Do(then="530 5.7.0 Authentication required", gate=gate))
    one = upstream_at(upstream.port, concurrency=1)
    office = Office(db, one, upstream_at(second.port, id="U2", name="second"))
    async with office.open():
        messages = [await office.submit("bob", hot=True) for _ in range(5)]
        await eventually(lambda: upstream.open == 1)
        gate.set()
        await all_done(office, messages)
        for message in messages:
            assert [(a.upstream, a.number) for a in await office.attempts(message)] == [("second", 1)]


async def test_a_route_that_is_mended_frees_the_mail_that_waits_for_it(
    db: Database, upstream: FakeUpstream, second: FakeUpstream
) -> None:
    await upstream.stop()
    one, other = upstream_at(upstream.port), upstream_at(second.port, id="U2", name="second")
    async with Office(db, one).open() as office:
        message = await office.submit("bob")
        await eventually(lambda: not takes(office))
        office.routing.value = led(((other, 1),))
        await office.turn(SECOND)
        await office.until_state(message, "done")


async def test_a_message_too_large_for_one_goes_to_the_next_and_for_all_fails(
    db: Database, upstream: FakeUpstream, second: FakeUpstream
) -> None:
    small = upstream_at(upstream.port, limits=Limits(octets=100))
    larger = upstream_at(second.port, id="U2", name="second", limits=Limits(octets=1000))
    async with Office(db, small, larger).open() as office:
        sizes = {"next": LETTER, "second": LETTER + b"x" * 200 + b"\r\n", "": LETTER + b"x" * 2000 + b"\r\n"}
        for name, content in sizes.items():
            acceptance = office.acceptance(envelope_to("bob"), content)
            await db.write(accept, acceptance)
            office.worker.wake()
            await office.until_state(acceptance.id, "done")
            if name:
                assert await used(office, acceptance.id) == {name: 1}
            else:
                ends = await office.ends(acceptance.id)
                assert ends[1][0] == "failed"
                assert "552 5.3.4 The message is larger" in (ends[1][1] or "")


# --- limits ---------------------------------------------------------------------------------------


async def test_a_connection_carries_so_many_messages(db: Database, upstream: FakeUpstream) -> None:
    few = upstream_at(upstream.port, concurrency=1, limits=Limits(per_connection=2))
    async with Office(db, few).open() as office:
        await all_done(office, [await office.submit("bob") for _ in range(6)])
    assert upstream.connections == 3


async def test_what_is_beyond_a_limit_waits_for_the_next_window(db: Database, upstream: FakeUpstream) -> None:
    metered = upstream_at(upstream.port, limits=Limits(per_minute=3))
    await known(db, metered)
    async with Office(db, metered).open() as office:
        messages = [await office.submit("bob", hot=True) for _ in range(5)]
        await eventually(lambda: len(upstream.taken) == 3)
        await eventually(lambda: not takes(office))
        waiting = [message for message in messages if await office.state(message) != "done"]
        for message in waiting:
            await office.until_state(message, "queued")
        reasons = {(await office.row(message)).reason for message in waiting}
        assert reasons <= {"Upstream next has had its 3 messages a minute", None}
        await office.turn(30 * SECOND)
        assert len(upstream.taken) == 3
        (stand,) = await stands(db)
        assert (stand.state, stand.until) == ("spent", NOON + MINUTE)
        await office.turn(30 * SECOND)
        await all_done(office, messages)
        await eventually(lambda: takes(office))
    assert [row.state for row in await stands(db)] == ["works"]


async def test_a_limit_spent_while_the_clock_was_ahead_is_not_spent_for_a_day(
    db: Database, upstream: FakeUpstream
) -> None:
    limited = upstream_at(upstream.port, limits=Limits(per_minute=1))
    await known(db, limited)
    office = Office(db, limited)
    office.clock.turn(timedelta(days=1))
    async with office.open():
        messages = [await office.submit("bob") for _ in range(2)]
        await all_done(office, messages[:1])
        await eventually(lambda: not takes(office))
        await office.turn(timedelta(days=-1))
        await office.turn(SECOND)
        await all_done(office, messages)


async def test_it_overflows_to_the_next_if_it_is_set_so_and_else_waits(
    db: Database, upstream: FakeUpstream, second: FakeUpstream
) -> None:
    metered = upstream_at(upstream.port, limits=Limits(per_day=3, overflows=True))
    other = upstream_at(second.port, id="U2", name="second")
    await known(db, metered)
    office = Office(db, metered, other)
    async with office.open():
        messages = [await office.submit("bob", hot=True) for _ in range(8)]
        await all_done(office, messages)
        assert await used(office, *messages) == {"next": 3, "second": 5}
        waits = replace(metered, limits=Limits(per_day=3))
        office.routing.value = led(((waits, 1),), ((other, 1),))
        message = await office.submit("bob")
        await eventually(lambda: not takes(office))
        await office.until_state(message, "queued")
        assert len(second.taken) == 5


async def test_batches_have_their_pause(db: Database, upstream: FakeUpstream) -> None:
    batched = upstream_at(upstream.port, concurrency=2, limits=Limits(batch=4, pause=30))
    await known(db, batched)
    async with Office(db, batched).open() as office:
        messages = [await office.submit("bob") for _ in range(6)]
        await eventually(lambda: len(upstream.taken) == 4)
        await eventually(lambda: not takes(office))
        await office.turn(29 * SECOND)
        assert len(upstream.taken) == 4
        await office.turn(SECOND)
        await all_done(office, messages)


async def test_two_processes_together_never_exceed_a_limit(db: Database, upstream: FakeUpstream) -> None:
    metered = upstream_at(upstream.port, concurrency=8, limits=Limits(per_minute=20))
    await known(db, metered)
    one, other = Office(db, metered, owner="node/0"), Office(db, metered, owner="node/1")
    other.new_id = one.new_id
    async with one.open(), other.open():
        messages = [await (one, other)[number % 2].submit("bob") for number in range(70)]
        for minute in range(1, 4):
            await eventually(lambda: not takes(one) and not takes(other))
            assert len(upstream.taken) <= 20 * minute
            if minute == 1:
                await eventually(lambda: len(upstream.taken) == 20)
            await one.turn(MINUTE)
            await other.turn(MINUTE)
        await all_done(one, messages)
    assert len(upstream.taken) == 70


@pytest.mark.parametrize("end", ["stopped", "changed", "switched off"])
async def test_what_was_granted_and_not_begun_is_left_for_others(
    db: Database, upstream: FakeUpstream, end: str
) -> None:
    metered = upstream_at(upstream.port, concurrency=1, limits=Limits(per_hour=40))
    await known(db, metered)
    turnstile = Turnstile()
    upstream.on("DATA", Do(gate=turnstile))
    one, other = Office(db, metered, owner="node/0"), Office(db, metered, owner="node/1")
    other.new_id = one.new_id

    async def granted() -> int:
        return int(await db.read(lambda tx: tx.execute(select(upstream_grants.c.granted)).scalar() or 0))

    async with one.open(grace=timedelta(seconds=0.1)):
        for _ in range(6):
            await one.submit("bob", hot=True)
        turnstile.let(1)  # alone; then it asks for all that wait, and is given an eighth
        await eventually(lambda: upstream.commands.count("DATA") == 2)
        assert await granted() == 6
        if end != "stopped":
            change = {"is_enabled": False} if end == "switched off" else {"timeout": MINUTE}
            one.routing.value = table_of(replace(metered, **change))
            one.worker.wake()
            await eventually(lambda: has(granted, 2))
    await eventually(lambda: has(granted, 2))
    turnstile.let(100)
    async with other.open():
        for _ in range(40):
            await other.submit("cid")
        await eventually(lambda: not takes(other))
    assert await granted() == 40


async def has(count: Callable[[], Awaitable[int]], number: int) -> bool:
    return await count() == number


# --- complaints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("complaint", ["451 4.7.1 Slow down", "432 4.3.2 Too many", "451 4.3.2 Busy"])
async def test_an_upstream_that_asks_for_less_gets_less_and_slowly_more_again(
    db: Database, upstream: FakeUpstream, complaint: str
) -> None:
    fast = upstream_at(upstream.port, concurrency=8)
    await known(db, fast)
    async with Office(db, fast).open() as office:
        upstream.on("DOT", complaint, times=1)
        await office.until_state(await office.submit("bob"), "waiting")
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        assert lane._gait.slots == 4
        await eventually(lambda: _is_slowed(db, 4.0))
        upstream.on("DOT", later(0.005))
        await all_done(office, [await office.submit("bob") for _ in range(20)])
        assert upstream.most_open <= 4
        for _ in range(12):
            await office.turn(11 * SECOND)
            await asyncio.sleep(0.02)
        await eventually(lambda: lane._gait.slots == 8)
        await eventually(lambda: _is_slowed(db, None))


async def test_a_connection_that_has_carried_enough_is_no_complaint(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=8)).open() as office:
        for _ in range(3):
            await office.until_state(await office.submit("bob"), "done")
            upstream.on("MAIL", "421 4.7.0 Too many messages in this connection", times=1)
            await office.until_state(await office.submit("bob"), "done")
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        assert lane._gait.slots == 8


async def test_a_connection_too_many_leaves_its_work_to_one_that_rests(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=3)).open() as office:
        upstream.on("DOT", later(0.05))
        await all_done(office, [await office.submit("bob", hot=True) for _ in range(2)])
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        await eventually(lambda: len(lane._bench._resting) == 2)
        under_way = await office.submit("bob", hot=True)
        await eventually(lambda: lane._busy == 1)
        lane._gait.bears(1, office.clock.now())
        await all_done(office, [under_way, await office.submit("bob", hot=True)])


async def _is_slowed(db: Database, to: float | None) -> bool:
    return [row.slowed_to for row in await stands(db)] == [to]


async def test_a_refusal_of_one_recipient_among_others_is_no_complaint(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", "451 4.7.1 Greylisted", matching="cid")
    async with Office(db, upstream_at(upstream.port, concurrency=8)).open() as office:
        await office.until_state(await office.submit("bob", "cid"), "waiting")
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        assert lane._gait.slots == 8


@pytest.mark.parametrize("step", ["RCPT", "DOT"])
async def test_greylisting_is_no_complaint(db: Database, upstream: FakeUpstream, step: str) -> None:
    upstream.on(step, "451 4.7.1 Greylisting in action, come back in 5 minutes")
    async with Office(db, upstream_at(upstream.port, concurrency=8)).open() as office:
        await office.until_state(await office.submit("bob"), "waiting")
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        assert lane._gait.slots == 8


def test_below_one_connection_there_is_a_rest_between_two_messages() -> None:
    gait, now = Gait(8), NOON
    for expected in (4, 2, 1, 0.5, 0.25):
        assert gait.complained(now)
        assert not gait.complained(now + SECOND), "others heard the same"
        assert gait.slowed_to == expected
        now += 3 * SECOND
    assert gait.slots == 1
    gait.begins(now)
    assert gait.is_resting(now + 3 * SECOND)
    assert not gait.is_resting(now + 4 * SECOND)
    steps = []
    while gait.slowed_to is not None:
        now += 10 * SECOND
        assert gait.recovered(now)
        assert not gait.recovered(now)
        steps.append(gait.slots)
    assert steps == sorted(steps)
    assert steps[-1] == 8
    assert len(steps) > 15, "it recovers gently"


def test_a_rest_and_a_calm_while_survive_a_clock_that_is_set_back() -> None:
    gait, ahead = Gait(1), NOON + timedelta(days=1)
    gait.bears(1, ahead)
    assert gait.complained(ahead + 3 * SECOND)
    gait.begins(ahead + 3 * SECOND)
    assert gait.is_resting(ahead + 4 * SECOND)
    assert not gait.is_resting(NOON)
    assert gait.recovered(NOON)
