"""The same where mail goes to services over HTTP, which know nothing of all this."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from relay.db.database import Database
from relay.mail.envelope import Envelope
from relay.routing.options import Options
from relay.routing.routes import Leg, Route, RoutingTable
from relay.routing.upstreams import Kind, Upstream
from tests.delivery.makers import LETTER, upstream_at
from tests.delivery.news import asking, reports, send
from tests.delivery.office import Office
from tests.kit.upstream import ALL, FakeUpstream
from tests.kit.web import FakeWeb

HOUR = timedelta(hours=1)
TO_BOB = LETTER.replace(b"Subject:", b"To: bob@example.net\r\nSubject:")
every_service = pytest.mark.parametrize("kind", [Kind.HTTP_RAW, Kind.POSTMARK])


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(tuple(offer for offer in ALL if offer != "DSN")) as upstream:
        yield upstream


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


async def reported(office: Office, envelope: Envelope) -> Any:
    """The one report on a letter that is sent so."""
    async with office.open():
        message = await send(office, envelope, content=TO_BOB)
        await office.until_state(message, "done")
        (report,) = await reports(office)
    return report


@every_service
async def test_success_is_reported_here_where_a_service_will_not(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    report = await reported(office, asking("SUCCESS", envid="x+20y"))
    assert (report["Action"], report["Status"]) == ("relayed", "2.0.0")
    assert report["Diagnostic-Code"] == f"x-relay; 250 2.0.0 Taken by {kind}"  # no server said that in SMTP
    assert report["Remote-MTA"] is None


@every_service
async def test_mode_n_is_told_of_where_a_service_will_not_watch_the_time(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    by = office.clock.now() + timedelta(minutes=5)
    report = await reported(office, asking(None, deliver_by=by, by_mode="N"))
    assert report["Action"] == "relayed"


@every_service
async def test_mode_r_is_returned_unasked_when_the_time_is_over(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    over = office.clock.now() - timedelta(seconds=1)
    report = await reported(office, asking(None, deliver_by=over, by_mode="R"))
    assert (report["Action"], report["Status"]) == ("failed", "5.4.7")
    assert web.asked == []


@every_service
async def test_what_needs_tls_all_the_way_goes_to_no_service(
    db: Database, web: FakeWeb, upstream: FakeUpstream, kind: Kind
) -> None:
    office = by_service(db, kind, web, upstream)
    report = await reported(office, asking(None, require_tls=True))
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
