"""What senders hear of mail that was passed on, that is late, or that must not go where it would."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO

import pytest

from relay.db.database import Database
from relay.queue.accept import accept
from relay.queue.items import Origin
from tests.delivery.makers import upstream_at
from tests.delivery.news import asking, reports, send
from tests.delivery.office import Office, eventually
from tests.kit.clock import NOON
from tests.kit.upstream import ALL, DROP, FakeUpstream

HOUR = timedelta(hours=1)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(tuple(offer for offer in ALL if offer != "DSN")) as upstream:
        yield upstream


async def test_success_is_reported_where_the_upstream_will_not(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")  # so that the report can be read in the queue
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        message = await send(office, asking("SUCCESS"))
        await office.until_state(message, "done")
        (report,) = await reports(office)
    assert (report["Action"], report["Status"]) == ("relayed", "2.0.0")
    assert report["Remote-MTA"] == "dns; [127.0.0.1]"


async def test_the_log_tells_of_every_report_and_of_which_message_it_is(
    db: Database, upstream: FakeUpstream, lines: StringIO
) -> None:
    upstream.on("RCPT", "550 5.1.1 No", matching="bob", times=1)
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        of = []
        for notify in (None, "SUCCESS"):
            of.append(await send(office, asking(notify)))
            await office.until_state(of[-1], "done")
        made = [message.id for message in await office.messages(Origin.BOUNCE)]
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    told = [(each["message"], each["report"]) for each in events if each["event"] == "reported"]
    assert told == list(zip(of, made, strict=True))


@pytest.mark.parametrize("notify", [None, "NEVER", "FAILURE,DELAY"])
async def test_success_is_reported_only_to_who_asked(
    db: Database, upstream: FakeUpstream, notify: str | None
) -> None:
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        await office.until_state(await send(office, asking(notify)), "done")
        assert await reports(office) == []


async def test_success_is_the_upstreams_to_report_where_it_offers_dsn(db: Database) -> None:
    async with FakeUpstream() as upstream:
        office = Office(db, upstream_at(upstream.port))
        async with office.open():
            await office.until_state(await send(office, asking("SUCCESS", envid="x+20y")), "done")
            assert await reports(office) == []
    assert "ENVID=x+20y" in upstream.taken[0].mail
    assert "NOTIFY=SUCCESS" in upstream.taken[0].rcpts[0]


async def test_a_delay_is_told_once_and_to_who_asked(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "451 4.3.0 Not now", matching="bob")
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        message = await send(office, asking("DELAY"))
        await send(office, asking(None))
        for attempt in range(1, 8):
            await eventually(lambda n=attempt: has_attempts(office, message, n))  # type: ignore[misc]
            if attempt < 3:
                assert await reports(office) == []
            await office.turn(timedelta(hours=4, minutes=30) if attempt > 2 else HOUR * 1.5)
        (report,) = await reports(office)
    assert (report["Action"], report["Status"]) == ("delayed", "4.3.0")
    assert report["Diagnostic-Code"] == "smtp; 451 4.3.0 Not now"
    assert report["Remote-MTA"] == "dns; [127.0.0.1]"
    assert report["Last-Attempt-Date"] is not None
    assert report["Will-Retry-Until"] is not None


async def test_many_delays_are_told_of_bit_by_bit_and_keep_no_mail_waiting(
    db: Database, upstream: FakeUpstream
) -> None:
    office = Office(db, upstream_at(upstream.port))
    scheduled = office.clock.now() + timedelta(hours=30)
    for _ in range(250):
        acceptance = office.acceptance(asking("DELAY"))
        later = acceptance.parts[0]._replace(due_at=scheduled)
        await db.write(accept, acceptance._replace(parts=(later,)))
    office.clock.turn(timedelta(hours=5))
    async with office.open():
        await office.until_state(await office.submit("cid"), "done")
        assert len(await office.messages(Origin.BOUNCE)) == 100

        async def all_are_told() -> bool:
            await office.turn(timedelta(seconds=1))
            return len(await office.messages(Origin.BOUNCE)) == 250

        await eventually(all_are_told)


async def test_what_we_noted_of_a_silent_server_is_not_put_into_its_mouth(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", DROP, matching="bob")
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        message = await send(
            office, asking("DELAY")._replace(deliver_by=office.clock.now() + HOUR, by_mode="N")
        )
        await eventually(lambda: has_attempts(office, message, 1))
        await office.turn(HOUR)
        await eventually(lambda: is_reported(office))
        (report,) = await reports(office)
    said = " ".join(report["Diagnostic-Code"].split())
    assert said == "x-relay; 451 4.4.2 The connection was closed before the answer to DATA"
    assert report["Remote-MTA"] is None


@pytest.mark.parametrize("is_up", [True, False])
async def test_what_expires_brings_back_the_last_real_reason(
    db: Database, upstream: FakeUpstream, is_up: bool
) -> None:
    upstream.on("RCPT", "451 4.2.2 Mailbox is full", matching="bob")
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    if not is_up:
        await upstream.stop()
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        message = await send(office, asking(None), lifetime=timedelta(minutes=40))
        if is_up:
            await office.until_state(message, "waiting")
        else:
            await eventually(lambda: is_known_as_down(office, message))
        await office.turn(timedelta(minutes=40))
        await office.until_state(message, "done")
        (end,) = (await office.ends(message)).values()
        (report,) = await reports(office)
    said = " ".join(report["Diagnostic-Code"].split())
    assert report["Status"] == "4.4.7"
    if is_up:
        assert end == ("expired", "451 4.4.7 Not delivered within 40 minutes: 451 4.2.2 Mailbox is full")
        assert (said, report["Remote-MTA"]) == ("smtp; 451 4.2.2 Mailbox is full", "dns; [127.0.0.1]")
        assert report["Last-Attempt-Date"] is not None
    else:
        assert said.startswith("x-relay; 451 4.4.7 Not delivered within 40 minutes: Upstream next is down")
        assert "connection refused" in said
        assert (report["Remote-MTA"], report["Last-Attempt-Date"]) == (None, None)


async def test_mail_that_was_never_tried_is_told_of_too(db: Database, upstream: FakeUpstream) -> None:
    await upstream.stop()
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        message = await send(office, asking("DELAY,FAILURE"))
        for _ in range(3):
            await office.turn(timedelta(hours=1, minutes=19))
            await eventually(lambda: is_known_as_down(office, message))
            assert await reports(office) == []

        async def is_reported_by_and_by() -> bool:  # not while it is in hand, to be probed with
            await office.turn(timedelta(minutes=1))
            return await is_reported(office)

        for _ in range(5):
            await office.turn(timedelta(minutes=30))
            await eventually(is_reported_by_and_by)
        assert await office.attempts(message) == []
        (report,) = await reports(office)
        assert (report["Action"], report["Status"]) == ("delayed", "4.4.0")
        assert "Upstream next is down" in report["Diagnostic-Code"].replace("\n", "")
        assert report["Last-Attempt-Date"] is None
        async with upstream:
            await office.until_done_in_time(message)  # a probe of before may only fail now
            assert len(await office.messages(Origin.BOUNCE)) == 1


async def is_known_as_down(office: Office, message: str) -> bool:
    row = await office.row(message)
    return row.state == "queued" and row.reason is not None and "is down" in row.reason


async def is_reported(office: Office) -> bool:
    return len(await reports(office)) > 0


async def has_attempts(office: Office, message: str, number: int) -> bool:
    return len(await office.attempts(message)) >= number and await office.state(message) == "waiting"


async def test_mode_n_is_told_of_when_it_is_late(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "451 4.3.0 Not now", matching="bob")
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        by = office.clock.now() + timedelta(minutes=5)
        message = await send(office, asking(None, deliver_by=by, by_mode="N"))
        await office.until_state(message, "waiting")
        assert await reports(office) == []
        await office.turn(timedelta(minutes=5))
        await eventually(lambda: is_reported(office))
        (report,) = await reports(office)
    assert report["Action"] == "delayed"


async def test_mode_n_is_told_of_when_nobody_will_watch_the_time_any_more(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        by = office.clock.now() + timedelta(minutes=5)
        await office.until_state(await send(office, asking(None, deliver_by=by, by_mode="N")), "done")
        (report,) = await reports(office)
    assert report["Action"] == "relayed"


async def test_what_is_left_of_the_time_is_passed_on(db: Database) -> None:
    async with FakeUpstream((*ALL, "DELIVERBY 10")) as upstream:
        office = Office(db, upstream_at(upstream.port))
        async with office.open():
            by = office.clock.now() + timedelta(seconds=300)
            await office.until_state(await send(office, asking(None, deliver_by=by, by_mode="R")), "done")
            assert await reports(office) == []
    assert upstream.taken[0].mail.endswith(" BY=300;R")


async def test_mode_r_is_tried_again_in_time_and_returned_when_the_time_is_over(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", "451 4.3.0 Not now", matching="bob")
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        limit = timedelta(minutes=5)
        envelope = asking(None, deliver_by=office.clock.now() + limit, by_mode="R")
        message = await send(office, envelope, lifetime=limit)
        for seconds in (150, 225, 285):
            due_at = NOON + timedelta(seconds=seconds)
            await office.until_due(message, due_at)
            await office.turn(due_at - office.clock.now())
        await office.until_state(message, "done")
        (report,) = await reports(office)
    assert (report["Action"], report["Status"]) == ("failed", "5.4.7")


async def test_what_needs_tls_all_the_way_is_returned_by_who_cannot_vouch_for_it(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        message = await send(office, asking(None, require_tls=True))
        await office.until_state(message, "done")
        (report,) = await reports(office)
        assert upstream.taken == []
    assert (report["Action"], report["Status"]) == ("failed", "5.7.30")
