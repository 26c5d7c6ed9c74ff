"""An upstream out of reach is left alone, its mail waits unharmed; what breaks under a message counts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from relay.db.database import Database
from relay.delivery.transports.pipeline import Pipeline
from relay.mail.priority import Priority
from relay.queue.browse import story
from relay.queue.content import read_content
from relay.queue.items import Origin
from relay.routing.routes import Leg, Route, RoutingTable
from tests.delivery.makers import LETTER, upstream_at
from tests.delivery.office import Office, eventually, table_of
from tests.kit.upstream import DROP, MUTE, Do, FakeUpstream, later, once_open


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


async def test_mail_for_an_upstream_that_is_down_waits_untried(db: Database, upstream: FakeUpstream) -> None:
    await upstream.stop()
    async with Office(db, upstream_at(upstream.port)).open() as office:
        messages = [await office.submit("bob", hot=number % 2 == 0) for number in range(4)]

        await eventually(lambda: not office.worker.accepts("R1"))
        for message in messages:
            await office.until_state(message, "queued")
            assert await office.attempts(message) == []
            assert (await office.row(message)).attempts == 0
        reasons = {(await office.row(message)).reason for message in messages} - {None}
        assert reasons == {"Upstream next is down: 451 4.4.1 Cannot connect: connection refused"}
        assert office.handover.in_hand == 0

        async with upstream:
            await office.turn(timedelta(seconds=10))
            assert upstream.connections == 0, "it is left alone for at least 15 s"
            await office.turn(timedelta(seconds=10))
            for message in messages:
                await office.until_state(message, "done")
                assert [a.number for a in await office.attempts(message)] == [1]
            assert office.worker.accepts("R1")


async def test_the_wait_doubles_up_to_a_quarter_of_an_hour(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("CONNECT", "554 No")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob")
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        waits = []
        for _ in range(9):
            await eventually(lambda: lane.standing.is_down(office.clock.now()))
            await office.until_state(message, "queued")
            until = lane.standing._until
            assert until is not None
            waits.append((until - office.clock.now()).total_seconds())
            await office.turn(until - office.clock.now() + timedelta(seconds=1))
        assert await office.attempts(message) == []
        assert upstream.connections >= 9
    for number, wait in enumerate(waits):
        least = min(15 * 2**number, 900)
        assert least <= wait <= 1.2 * least


async def test_one_probe_goes_first(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("CONNECT", "421 4.3.2 Too busy", times=1)
    async with Office(db, upstream_at(upstream.port, concurrency=10)).open() as office:
        first = await office.submit("bob")
        await eventually(lambda: not office.worker.accepts("R1"))
        await office.until_state(first, "queued")
        gate = asyncio.Event()
        upstream.on("DOT", once_open(gate), times=1)
        messages = [first, *[await office.submit("bob") for _ in range(20)]]
        await office.turn(timedelta(seconds=20))
        await eventually(lambda: len(upstream.transactions) == 1)
        assert upstream.open == 1
        gate.set()
        for message in messages:
            await office.until_state(message, "done")
        assert upstream.most_open > 1


@pytest.mark.parametrize("refusal", ["530 5.7.0 Authentication required", "421 4.7.0 Not now"])
async def test_a_refusal_before_the_message_was_looked_at_harms_no_message(
    db: Database, upstream: FakeUpstream, refusal: str
) -> None:
    upstream.on("MAIL", refusal)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob")
        await eventually(lambda: not office.worker.accepts("R1"))
        await office.until_state(message, "queued")
        assert await office.attempts(message) == []


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
async def test_a_line_that_breaks_under_a_message_counts_as_an_attempt(
    db: Database, upstream: FakeUpstream, moment: str
) -> None:
    upstream.on(moment, DROP, times=1)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob")
        await office.until_state(message, "waiting")
        assert "closed before the answer" in (await office.row(message)).reason
        assert office.worker.accepts("R1")
        await office.turn(timedelta(minutes=34))
        await office.until_state(message, "done")


@pytest.mark.parametrize("moment", ["BODY", "DOT"])
@pytest.mark.parametrize("answer", [DROP, MUTE, b"354 Go on\r\n"])
async def test_what_was_perhaps_delivered_is_sent_again_late_unchanged_and_said_so(
    db: Database, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, moment: str, answer: Do | bytes
) -> None:
    monkeypatch.setitem(Pipeline.__init__.__kwdefaults__ or {}, "dot_seconds", 0.2)
    upstream.on(moment, answer, times=1)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        content = b"Message-ID: <tea@example.com>\r\n" + LETTER
        message = await office.submit("bob", content=content)
        await office.until_state(message, "waiting")
        wait = (await office.row(message)).due_at - office.clock.now()
        assert timedelta(hours=4) <= wait < timedelta(hours=4, minutes=1)
        assert "perhaps it was delivered all the same" in (await office.row(message)).reason
        told = await db.read(story, message)
        assert told is not None
        assert [attempt.perhaps_delivered for attempt in told.parts[0].attempts] == [True]

        await office.turn(timedelta(hours=4, minutes=2))
        await office.until_state(message, "done")
        told = await db.read(story, message)
        assert told is not None
        assert [attempt.perhaps_delivered for attempt in told.parts[0].attempts] == [True, False]
    assert upstream.taken[-1].content == content


async def test_a_refusal_of_the_message_is_no_doubt(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("DOT", "451 4.3.0 Not now", times=1)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob")
        await office.until_state(message, "waiting")
        told = await db.read(story, message)
        assert told is not None
        assert [attempt.perhaps_delivered for attempt in told.parts[0].attempts] == [False]
        assert (await office.row(message)).due_at - office.clock.now() < timedelta(minutes=34)


async def test_a_report_of_what_was_perhaps_delivered_says_so(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("DOT", DROP, times=1)
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", lifetime=timedelta(hours=3))
        await office.until_state(message, "done")
        (report,) = await office.messages(Origin.BOUNCE)
        content = await db.read(read_content, report.id)
    assert content is not None
    assert b"perhaps it was delivered" in content.replace(b"\r\n ", b" ")


async def test_lines_that_break_again_and_again_are_the_upstreams_trouble(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("MAIL", DROP)
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        messages = [await office.submit("bob") for _ in range(6)]
        await eventually(lambda: not office.worker.accepts("R1"))
        await eventually(lambda: office.handover.in_hand == 0)
        for message in messages[:3]:
            await office.until_state(message, "waiting")
        for message in messages[3:]:
            await office.until_state(message, "queued")


async def test_a_421_for_one_recipient_does_not_block_the_upstream_for_ever(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", "421 4.7.0 Not for this one", matching="poison")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        poison = await office.submit("poison")
        await office.until_state(poison, "waiting")
        message = await office.submit("bob")
        await office.turn(timedelta(seconds=20))
        await office.until_state(message, "done")


@pytest.mark.parametrize(
    "refusal", ["530 5.7.1 Log in as this sender", "421 4.7.0 Too much of this sender", DROP]
)
@pytest.mark.parametrize("moment", ["MAIL", "RCPT"])
async def test_an_upstream_that_turns_one_sender_away_takes_mail_of_others(
    db: Database, upstream: FakeUpstream, refusal: str | Do, moment: str
) -> None:
    upstream.on(moment, refusal, matching="eve")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        unwelcome = [await office.submit("eve's", sender="eve@example.com") for _ in range(5)]
        await eventually(lambda: not office.worker.accepts("R1"))
        messages = [await office.submit("bob") for _ in range(5)]
        await office.turn(timedelta(seconds=20))
        for message in messages:
            await office.until_state(message, "done")
        for message in unwelcome:
            await office.until_state(message, "waiting")
            assert [a.number for a in await office.attempts(message)] == [1]
        assert office.worker.accepts("R1")


async def test_a_sender_that_is_turned_away_like_all_others_is_not_blamed(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("MAIL", "530 5.7.0 Authentication required", times=3)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        messages = [
            await office.submit("bob", sender=f"{name}@example.com") for name in ("ann", "eve", "ida")
        ]
        for message in messages:
            await office.until_done_in_time(message)
            assert [a.number for a in await office.attempts(message)] == [1]
        senders = [line for line in upstream.commands if line.startswith("MAIL")]
        assert len({line.partition(">")[0] for line in senders[:3]}) == 3, "each probe is of another"


async def test_an_upstream_that_bears_few_connections_gets_few(db: Database, upstream: FakeUpstream) -> None:
    def bears_two(original: Any = upstream.rule_for) -> None:
        def rule_for(moment: str, line: str) -> Any:
            if moment == "CONNECT" and upstream.open > 2:
                upstream.on("CONNECT", "421 4.7.0 Too many connections", times=1)
            return original(moment, line)

        upstream.rule_for = rule_for  # type: ignore[method-assign]

    bears_two()
    upstream.on("DOT", later(0.01))
    async with Office(db, upstream_at(upstream.port, concurrency=8)).open() as office:
        await office.until_state(await office.submit("bob"), "done")
        messages = [await office.submit("bob", hot=True) for _ in range(30)]
        for message in messages:
            await office.until_state(message, "done")
            assert [a.number for a in await office.attempts(message)] == [1]


async def test_silence_of_one_connection_holds_up_no_other(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", MUTE, matching="tarpit")
    patience = timedelta(seconds=60)
    async with Office(db, upstream_at(upstream.port, concurrency=3, timeout=patience)).open() as office:
        stuck = await office.submit("tarpit", hot=True)
        messages = [await office.submit("bob", hot=True) for _ in range(10)]
        for message in messages:
            await office.until_state(message, "done")
        assert await office.state(stuck) == "leased"
        await upstream.stop()
        await office.until_state(stuck, "waiting")


# --- routes ---------------------------------------------------------------------------------------


async def test_the_first_upstream_that_is_not_down_is_taken(db: Database, upstream: FakeUpstream) -> None:
    await upstream.stop()
    async with FakeUpstream() as second:
        both = upstream_at(upstream.port), upstream_at(second.port, id="U2", name="second")
        async with Office(db, *both).open() as office:
            messages = [await office.submit("bob") for _ in range(3)]
            for message in messages:
                await office.until_state(message, "done")
                assert [a.upstream for a in await office.attempts(message)] == ["second"]


async def test_mail_in_hand_waits_when_its_upstream_is_switched_off(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("DOT", later(60))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        await office.submit("bob", hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        message = await office.submit("cid", hot=True)
        office.routing.value = table_of(upstream_at(upstream.port, is_enabled=False))
        office.worker.wake()
        await office.until_state(message, "queued")
        assert (await office.row(message)).reason == "Upstream next was switched off"
        assert not office.worker.accepts("R1")
        office.routing.value = table_of(upstream_at(upstream.port, concurrency=3))
        upstream.on("DOT", "250 2.0.0 Taken")
        office.worker.wake()
        await office.until_state(message, "done")
        await upstream.stop()


async def test_mail_in_hand_goes_where_its_route_leads_now(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("DOT", later(60))
    async with FakeUpstream() as second:
        one = upstream_at(upstream.port, concurrency=1)
        other = upstream_at(second.port, id="U2", name="second")
        async with Office(db, one, other).open() as office:
            begun = await office.submit("bob", hot=True)
            await eventually(lambda: len(upstream.transactions) == 1)
            messages = [await office.submit(name, hot=True) for name in ("cid", "dan")]
            leads_elsewhere = Route("R1", "default", None, (Leg("U2"),))
            both = {"U1": one, "U2": other}
            office.routing.value = RoutingTable(both, (leads_elsewhere,), leads_elsewhere)
            office.worker.wake()
            for message in messages:
                await office.until_state(message, "done")
                assert [a.upstream for a in await office.attempts(message)] == ["second"]
            assert await office.state(begun) == "leased"
            await upstream.stop()


async def test_mail_whose_route_is_gone_waits_until_there_is_one(
    db: Database, upstream: FakeUpstream
) -> None:
    office = Office(db, upstream_at(upstream.port))
    office.routing.value = RoutingTable()
    async with office.open():
        message = await office.submit("bob")
        assert not office.worker.accepts("R1")
        await office.turn(timedelta(seconds=1))
        assert await office.state(message) == "queued"
        office.routing.value = table_of(upstream_at(upstream.port))
        await office.turn(timedelta(seconds=1))
        await office.until_state(message, "done")


async def test_changed_settings_are_tried_at_once(db: Database, upstream: FakeUpstream) -> None:
    wrong = FakeUpstream()
    async with wrong:
        pass
    async with Office(db, upstream_at(wrong.port)).open() as office:
        message = await office.submit("bob")
        await eventually(lambda: not office.worker.accepts("R1"))
        office.routing.value = table_of(upstream_at(upstream.port))
        await office.turn(timedelta(seconds=1))
        await office.until_state(message, "done")


# --- the end --------------------------------------------------------------------------------------


async def test_stopping_lets_end_what_has_begun_and_gives_back_the_rest(
    db: Database, upstream: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    office = Office(db, upstream_at(upstream.port, concurrency=1))
    async with office.open(grace=timedelta(seconds=20)):
        begun = await office.submit("bob", hot=True)
        waiting = await office.submit("cid", priority=Priority.LOW, hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        asyncio.get_running_loop().call_later(0.1, gate.set)
    assert await office.state(begun) == "done"
    assert await office.state(waiting) == "queued"
    assert (await office.row(waiting)).attempts == 0
    assert office.handover.in_hand == 0
    assert not office.handover.reserve("R1", 1)


async def test_what_does_not_end_within_the_grace_keeps_its_lease(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", later(60))
    office = Office(db, upstream_at(upstream.port, concurrency=1))
    async with office.open(grace=timedelta(seconds=0.1)):
        message = await office.submit("bob", hot=True)
        await eventually(lambda: any(command.startswith("RCPT") for command in upstream.commands))
    assert await office.state(message) == "leased"


async def test_what_is_out_when_the_grace_ends_was_perhaps_delivered(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("DOT", later(60))
    office = Office(db, upstream_at(upstream.port, concurrency=1))
    async with office.open(grace=timedelta(seconds=0.2)):
        message = await office.submit("bob", hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
    assert await office.state(message) == "waiting"
    assert [attempt.perhaps_delivered for attempt in await office.attempts(message)] == [True]
