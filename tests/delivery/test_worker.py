"""The road out, from the table to the upstream and back to the table."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from relay.db.database import Database
from relay.delivery.bench import IDLE
from relay.delivery.link import MAX_AGE
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.queue.accept import accept
from relay.queue.content import read_content
from relay.queue.followers import followers_of
from relay.queue.items import Origin
from relay.routing.upstreams import Kind
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import Office, eventually, table_of
from tests.kit.makers import make_session
from tests.kit.upstream import DROP, FakeUpstream, once_open


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


async def test_a_letter_from_the_table_is_delivered_and_forgotten(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", "cid")
        await office.until_state(message, "done")
        assert await office.ends(message) == {
            1: ("delivered", "250 2.0.0 Taken"),
            2: ("delivered", "250 2.0.0 Taken"),
        }
        (attempt,) = await office.attempts(message)
        assert (attempt.number, attempt.upstream) == (1, "next")
        assert attempt.remote == f"127.0.0.1 [127.0.0.1]:{upstream.port}"
        assert await db.read(read_content, message) is None
    assert upstream.taken[0].content == LETTER


async def test_a_letter_that_is_handed_over_is_delivered_without_looking_into_the_table(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", hot=True)
        await office.until_state(message, "done")
        await eventually(lambda: office.handover.in_hand == 0)
        assert office.handover.budget.used == 0


async def test_a_large_letter_is_read_when_it_is_sent(db: Database, upstream: FakeUpstream) -> None:
    content = LETTER + b"x" * 70 + b"\r\n" + (b"." * 70 + b"\r\n") * 10_000
    async with Office(db, upstream_at(upstream.port)).open() as office:
        acceptance = office.acceptance(envelope_to("bob"), content)
        await db.write(accept, acceptance)
        office.worker.wake()
        await office.until_state(acceptance.id, "done")
    assert upstream.taken[0].content == content


async def test_mail_for_the_sandbox_is_kept(db: Database) -> None:
    async with Office(db, upstream_at(0, kind=Kind.SANDBOX, host="")).open() as office:
        message = await office.submit("bob")
        await office.until_state(message, "done")
        assert await office.ends(message) == {1: ("delivered", "250 2.0.0 Kept in the sandbox")}
        assert await db.read(read_content, message) == LETTER


# --- what is not taken ----------------------------------------------------------------------------


async def test_who_is_deferred_waits_and_is_tried_again_alone(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "450 4.2.1 Busy", matching="cid", times=1)
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", "cid")
        await office.until_state(message, "waiting")
        row = await office.row(message)
        assert row.reason == "450 4.2.1 Busy"
        assert timedelta(minutes=30) <= row.due_at - office.clock.now() <= timedelta(minutes=33)
        assert (await office.ends(message))[1][0] == "delivered"
        await office.turn(timedelta(minutes=34))
        await office.until_state(message, "done")
        assert [attempt.number for attempt in await office.attempts(message)] == [1, 2]
    assert [t.rcpts for t in upstream.taken] == [["RCPT TO:<bob@example.net>"], ["RCPT TO:<cid@example.net>"]]


async def test_a_refusal_is_reported_to_the_sender(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", "cid")
        await office.until_state(message, "done")
        assert (await office.ends(message))[1] == ("failed", "550 5.1.1 No such user")
        (bounce,) = await office.messages(Origin.BOUNCE)
        await office.until_state(bounce.id, "done")
        (follower,) = await db.read(followers_of, message)
    assert (follower.id, follower.address, follower.state) == (bounce.id, "ann@example.com", "delivered")
    report = next(t for t in upstream.taken if t.mail.startswith("MAIL FROM:<>"))
    assert report.rcpts[0].startswith("RCPT TO:<ann@example.com>")
    assert b"Diagnostic-Code: smtp; 550 5.1.1 No such user" in report.content
    assert b"Remote-MTA: dns; [127.0.0.1]" in report.content


async def test_a_report_that_is_refused_ends_there(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob")
        await office.until_state(message, "done")
        (bounce,) = await office.messages(Origin.BOUNCE)
        await office.until_state(bounce.id, "done")
        assert len(await office.messages(Origin.BOUNCE)) == 1


async def test_what_would_be_tried_too_late_is_given_up_with_the_last_answer(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", "450 4.2.1 Busy", matching="bob")
    async with Office(db, upstream_at(upstream.port)).open() as office:
        message = await office.submit("bob", lifetime=timedelta(minutes=20))
        await office.until_state(message, "done")
        assert await office.ends(message) == {1: ("expired", "450 4.2.1 Busy")}
        await eventually(lambda: len(upstream.taken) == 1)
    assert b"Diagnostic-Code: smtp; 450 4.2.1 Busy" in upstream.taken[0].content


async def test_what_waited_too_long_is_given_up_untried(db: Database, upstream: FakeUpstream) -> None:
    office = Office(db, upstream_at(upstream.port, is_enabled=False))
    async with office.open():
        message = await office.submit("bob")
        await office.turn(timedelta(days=4, seconds=1))
        await office.until_state(message, "done")
        assert (await office.ends(message))[1][0] == "expired"
        assert len(await office.messages(Origin.BOUNCE)) == 1


# --- archive and sender ---------------------------------------------------------------------------


async def test_what_was_held_too_long_for_its_sender_is_given_up_without_a_report_to_that_one(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port)).open() as office:
        session = make_session(user="eve")
        made = office.acceptance(envelope_to("bob"), session=session, lifetime=timedelta(hours=6))
        (part,) = made.parts
        held = part._replace(hold_reason="eve may not send as ann@example.com")
        await db.write(accept, made._replace(parts=(held,)))
        await office.turn(timedelta(hours=6))
        await office.until_state(made.id, "done")
        assert "eve may not send as ann@example.com" in str((await office.ends(made.id))[1])
        assert not await office.messages(Origin.BOUNCE)


async def test_giving_up_a_large_letter_waits_for_none_that_is_being_sent(
    db: Database, upstream: FakeUpstream
) -> None:
    large, gate = LETTER + b"All of it.\r\n" * 30_000, asyncio.Event()
    upstream.on("DOT", once_open(gate), times=1)
    async with Office(db, upstream_at(upstream.port, concurrency=3)).open() as office:
        office.worker._clerk._reading.limit = len(large)
        under_way = await office.submit("bob", content=large)
        await eventually(lambda: len(upstream.transactions) == 1)
        too_old = office.acceptance(envelope_to("cid"), large, lifetime=timedelta(seconds=30))
        held = too_old.parts[0]._replace(hold_reason="for a decision")
        await db.write(accept, too_old._replace(parts=(held,)))
        await office.turn(timedelta(seconds=90))
        await office.until_settled(too_old.id)
        assert (await office.row(under_way)).leased_until > office.clock.now() + timedelta(minutes=1)
        await office.until_state(await office.submit("dan"), "done")
        gate.set()
        await office.until_state(under_way, "done")


async def test_the_archive_gets_a_copy_of_what_was_taken(db: Database, upstream: FakeUpstream) -> None:
    archived = upstream_at(upstream.port, archive_address=Address.parse("archive@example.com"))
    async with Office(db, archived).open() as office:
        original = await office.submit("bob")
        await eventually(lambda: len(upstream.taken) == 2)
        (copy,) = await office.messages(Origin.ARCHIVE)
        await office.until_state(copy.id, "done")
        assert len(await office.messages(Origin.ARCHIVE)) == 1
    assert upstream.taken[1].rcpts == ["RCPT TO:<archive@example.com> NOTIFY=NEVER"]
    assert f"ENVID={original}" in upstream.taken[1].mail, "it says of which message it is the copy"
    assert upstream.taken[1].content == LETTER


async def test_the_accounts_own_sender_goes_on_the_envelope_but_not_on_reports(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    account = upstream_at(upstream.port, sender_address=Address.parse("account@example.org"))
    async with Office(db, account).open() as office:
        await office.submit("bob", "cid")
        await eventually(lambda: len(upstream.taken) == 2)
    assert {t.mail.split(" SIZE")[0] for t in upstream.taken} == {
        "MAIL FROM:<account@example.org>",
        "MAIL FROM:<>",
    }


# --- order ----------------------------------------------------------------------------------------


async def test_level_1_goes_before_all_that_waits(db: Database, upstream: FakeUpstream) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        for number in range(3):
            await office.submit(f"low{number}", priority=Priority.VERY_LOW, hot=True)
        await eventually(lambda: len(upstream.transactions) == 1)
        await office.submit("high", priority=Priority.HIGH, hot=True)
        await office.submit("urgent", priority=Priority.VERY_HIGH, hot=True)
        gate.set()
        await eventually(lambda: len(upstream.taken) == 5)
    order = [t.rcpts[0].removeprefix("RCPT TO:<").partition("@")[0] for t in upstream.taken]
    assert order == ["low0", "urgent", "high", "low1", "low2"]


async def test_what_a_slow_upstream_cannot_take_soon_waits_where_it_can_be_held(
    db: Database, upstream: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        messages = [await office.submit("low", hot=True) for _ in range(40)]
        await eventually(lambda: len(upstream.transactions) == 1)
        states = [await office.state(message) for message in messages]
        assert states.count("leased") <= 12
        assert states.count("queued") >= 28
        gate.set()
        await eventually(lambda: len(upstream.taken) == 40)


async def test_what_one_of_several_processes_cannot_take_soon_is_left_to_the_others(
    db: Database, upstream: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=4), processes=4).open() as office:
        messages = [await office.submit("low", hot=True) for _ in range(20)]
        await eventually(lambda: len(upstream.transactions) == 1)
        await office.turn(timedelta(seconds=1))
        states = [await office.state(message) for message in messages]
        assert states.count("leased") <= 4, "one that goes, two that wait, and one in trade"
        gate.set()
        await eventually(lambda: len(upstream.taken) == 20)


async def test_a_slot_is_kept_for_level_1(db: Database, upstream: FakeUpstream) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=3)).open() as office:
        for _ in range(6):
            await office.submit("low", priority=Priority.LOW, hot=True)
        await eventually(lambda: len(upstream.transactions) == 2)
        upstream.on("DOT", "250 2.0.0 At once", times=1)
        message = await office.submit("urgent", priority=Priority.VERY_HIGH, hot=True)
        await office.until_state(message, "done")
        assert [t.rcpts for t in upstream.taken] == [["RCPT TO:<urgent@example.net>"]]
        gate.set()
        await eventually(lambda: len(upstream.taken) == 7)
    assert upstream.most_open == 3


async def test_level_1_in_the_table_is_taken_although_all_hands_are_full(
    db: Database, upstream: FakeUpstream
) -> None:
    gate = asyncio.Event()
    upstream.on("DOT", once_open(gate))
    async with Office(db, upstream_at(upstream.port, concurrency=2)).open() as office:
        for _ in range(12):
            await office.submit("low", priority=Priority.LOW)
        await eventually(lambda: len(upstream.transactions) == 1)
        upstream.on("DOT", "250 2.0.0 At once", times=1)
        message = await office.submit("urgent", priority=Priority.VERY_HIGH)
        await office.turn(timedelta(seconds=1))
        await office.until_state(message, "done")
        assert [t.rcpts for t in upstream.taken] == [["RCPT TO:<urgent@example.net>"]]
        gate.set()


# --- many -----------------------------------------------------------------------------------------


async def test_no_more_connections_than_allowed_and_each_used_again(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=4)).open() as office:
        messages = [await office.submit("bob", hot=number % 2 == 0) for number in range(100)]
        for message in messages:
            await office.until_state(message, "done")
    assert len(upstream.taken) == 100
    assert upstream.most_open <= 4
    assert upstream.connections <= 4


async def test_a_connection_that_was_closed_meanwhile_costs_no_attempt(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        await office.until_state(await office.submit("bob"), "done")
        upstream.on("MAIL", DROP, times=1)
        message = await office.submit("cid")
        await office.until_state(message, "done")
        assert [a.number for a in await office.attempts(message)] == [1]
    assert upstream.connections == 2


async def test_a_login_that_ended_meanwhile_costs_nothing_but_a_connection(
    db: Database, upstream: FakeUpstream
) -> None:
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        await office.until_state(await office.submit("bob"), "done")
        upstream.on("MAIL", "530 5.7.57 The token has expired", times=1)
        message = await office.submit("bob")
        await office.until_state(message, "done")
        assert [a.number for a in await office.attempts(message)] == [1]
        assert upstream.connections == 2


async def test_another_upstream_takes_over_from_the_next_delivery_on(
    db: Database, upstream: FakeUpstream
) -> None:
    async with FakeUpstream() as second:
        first = upstream_at(upstream.port)
        office = Office(db, first)
        async with office.open():
            await office.until_state(await office.submit("bob"), "done")
            office.routing.value = table_of(upstream_at(second.port))
            await office.until_state(await office.submit("cid"), "done")
        assert (len(upstream.taken), len(second.taken)) == (1, 1)


async def test_an_idle_connection_is_closed_in_good_order(db: Database, upstream: FakeUpstream) -> None:
    async with Office(db, upstream_at(upstream.port)).open() as office:
        await office.until_state(await office.submit("bob", hot=True), "done")
        office.clock.turn(IDLE / 2)
        office.worker.wake()
        await office.until_state(await office.submit("bob", hot=True), "done")
        assert upstream.connections == 1
        office.clock.turn(IDLE)
        office.worker.wake()
        await eventually(lambda: upstream.open == 0)
        assert upstream.commands[-1] == "QUIT"
        await office.until_state(await office.submit("bob", hot=True), "done")
        assert upstream.connections == 2


async def test_a_connection_serves_so_many_messages_and_so_long(
    db: Database, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.delivery.link.MAX_MESSAGES", 3)
    async with Office(db, upstream_at(upstream.port, concurrency=1)).open() as office:
        for _ in range(7):
            await office.until_state(await office.submit("bob", hot=True), "done")
        assert upstream.connections == 3
        office.clock.turn(MAX_AGE)
        await office.until_state(await office.submit("bob", hot=True), "done")
        assert upstream.connections == 4


async def test_two_processes_share_the_table_and_no_letter_goes_twice(
    engine: Engine, db: Database, upstream: FakeUpstream
) -> None:
    other_db = Database(engine)
    one = Office(db, upstream_at(upstream.port, concurrency=4), owner="node/0")
    two = Office(other_db, upstream_at(upstream.port, concurrency=4), owner="node/1")
    async with one.open(), two.open():
        messages = [await one.submit(f"r{number}") for number in range(60)]
        two.worker.wake()
        for message in messages:
            await one.until_state(message, "done")
    assert sorted(t.rcpts[0] for t in upstream.taken) == sorted(
        f"RCPT TO:<r{number}@example.net>" for number in range(60)
    )
    assert other_db.engine is engine
