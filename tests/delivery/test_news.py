"""What senders hear of mail that was passed on, that is late, or that must not go where it would."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes
from io import StringIO
from typing import Any

import pytest
from sqlalchemy import select

from relay.db.database import Database
from relay.db.tables import contents
from relay.mail.envelope import Envelope
from relay.queue.accept import accept
from relay.queue.items import Origin
from relay.routing.options import Options
from relay.routing.routes import Leg, Route, RoutingTable
from relay.routing.upstreams import Kind, Upstream
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.upstream import ALL, DROP, FakeUpstream
from tests.kit.web import FakeWeb

HOUR = timedelta(hours=1)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(tuple(offer for offer in ALL if offer != "DSN")) as upstream:
        yield upstream


def asking(notify: str | None, **more: Any) -> Envelope:
    envelope = envelope_to("bob", **more)
    return envelope._replace(recipients=(envelope.recipients[0]._replace(notify=notify),))


async def send(office: Office, envelope: Envelope, **more: object) -> str:
    acceptance = office.acceptance(envelope, **more)  # type: ignore[arg-type]
    await office.db.write(accept, acceptance)
    office.worker.wake()
    return acceptance.id


async def reports(office: Office) -> list[Any]:
    """The reports as they were sent: each the group of fields about its first recipient."""
    found = await office.messages(Origin.BOUNCE)

    def read(tx: object) -> list[bytes]:
        rows = tx.execute(select(contents).order_by(contents.c.message_id))  # type: ignore[attr-defined]
        return [row.content for row in rows if row.message_id in {m.id for m in found}]

    whole: list[Any] = [message_from_bytes(content) for content in await office.db.read(read)]
    return [report.get_payload()[1].get_payload()[1] for report in whole]


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


async def test_mode_r_is_returned_when_the_time_is_over(db: Database, upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "451 4.3.0 Not now", matching="bob")
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    office = Office(db, upstream_at(upstream.port))
    async with office.open():
        limit = timedelta(minutes=5)
        envelope = asking(None, deliver_by=office.clock.now() + limit, by_mode="R")
        message = await send(office, envelope, lifetime=limit)
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


# Services over HTTP, which know nothing of all this -------------------------------------------------

TO_BOB = LETTER.replace(b"Subject:", b"To: bob@example.net\r\nSubject:")
every_service = pytest.mark.parametrize("kind", [Kind.HTTP_RAW, Kind.POSTMARK])


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with FakeWeb() as web:
        web.on("POST", 200)
        yield web


def service(kind: Kind, web: FakeWeb) -> Upstream:
    return upstream_at(0, host="", kind=kind, options=Options(url=web.url))


def by_service(db: Database, kind: Kind, web: FakeWeb, upstream: FakeUpstream) -> Office:
    """Mail goes by the service; reports by the other one, which waits, so that they can be read."""
    upstream.on("MAIL", "451 4.3.0 Not now", matching="<>")
    first, other = service(kind, web), upstream_at(upstream.port, id="U2", name="other")
    office = Office(db, first)
    own, rest = Route("R1", "own", "someone", (Leg("U1"),)), Route("R2", "default", None, (Leg("U2"),))
    office.routing.value = RoutingTable({"U1": first, "U2": other}, (own, rest), rest)
    return office


@every_service
async def test_success_is_reported_here_where_a_service_will_not(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    async with office.open():
        message = await send(office, asking("SUCCESS", envid="x+20y"), content=TO_BOB)
        await office.until_state(message, "done")
        (report,) = await reports(office)
    assert (report["Action"], report["Status"]) == ("relayed", "2.0.0")
    assert report["Diagnostic-Code"] == f"x-relay; 250 2.0.0 Taken by {kind}"  # no server said that in SMTP
    assert report["Remote-MTA"] is None


@every_service
async def test_mode_n_is_told_of_where_a_service_will_not_watch_the_time(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    async with office.open():
        by = office.clock.now() + timedelta(minutes=5)
        message = await send(office, asking(None, deliver_by=by, by_mode="N"), content=TO_BOB)
        await office.until_state(message, "done")
        (report,) = await reports(office)
    assert report["Action"] == "relayed"


@every_service
async def test_mode_r_is_returned_unasked_when_the_time_is_over(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    async with office.open():
        over = office.clock.now() - timedelta(seconds=1)
        message = await send(office, asking(None, deliver_by=over, by_mode="R"), content=TO_BOB)
        await office.until_state(message, "done")
        (report,) = await reports(office)
    assert (report["Action"], report["Status"]) == ("failed", "5.4.7")
    assert web.asked == []


@every_service
async def test_what_needs_tls_all_the_way_goes_to_no_service(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    async with office.open():
        message = await send(office, asking(None, require_tls=True), content=TO_BOB)
        await office.until_state(message, "done")
        (report,) = await reports(office)
    assert (report["Action"], report["Status"]) == ("failed", "5.7.30")
    assert web.asked == []


async def test_a_service_of_ones_own_is_told_all_and_may_see_to_it(db: Database) -> None:
    async with FakeWeb() as web:
        web.on("POST", 200, headers={"Relay-Offers": "DSN, DeliverBy"})
        office = Office(db, service(Kind.HTTP_RAW, web))
        async with office.open():
            by = office.clock.now() + timedelta(seconds=300)
            envelope = asking("SUCCESS", deliver_by=by, by_mode="N", ret="HDRS", envid="x+20y")
            bob = envelope.recipients[0]._replace(orcpt="rfc822;b@example.org")
            message = await send(office, envelope._replace(recipients=(bob,)))
            await office.until_state(message, "done")
            assert await reports(office) == []
    (asked,) = web.asked
    assert json.loads(asked.headers["relay-envelope"]) == {
        "from": "ann@example.com",
        "to": ["bob@example.net"],
        "ret": "HDRS",
        "envid": "x+20y",
        "by": "300;N",
        "notify": {"bob@example.net": "SUCCESS"},
        "orcpt": {"bob@example.net": "rfc822;b@example.org"},
    }


async def test_what_is_tried_again_has_the_same_name_however_little_time_is_left(
    db: Database, web: FakeWeb
) -> None:
    web.on("POST", 200)
    web.on("POST", 500, times=1)
    office = Office(db, service(Kind.HTTP_RAW, web))
    async with office.open():
        by = office.clock.now() + timedelta(hours=5)
        message = await send(office, asking(None, deliver_by=by, by_mode="R"))
        await office.until_state(message, "waiting")
        await office.turn(HOUR)
        await office.until_state(message, "done")
    first, second = ({n: a.headers[n] for n in ("relay-delivery", "relay-envelope")} for a in web.asked)
    assert first["relay-delivery"] == second["relay-delivery"]
    assert first["relay-envelope"] != second["relay-envelope"]
