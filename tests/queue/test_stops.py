"""Stops: what they are to whoever claims, and what is remembered of them."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, insert, select

from relay.db.audit import Author
from relay.db.engine import read_with
from relay.db.revision import read_all
from relay.db.tables import audit, stops, upstreams, users
from relay.ids import id_source
from relay.queue.claim import ClaimOrder, claim_due, due_but_of
from relay.queue.stops import EVERYTHING, Reach, StartMail, StopMail, Stops, load_stops, start_mail, stop_mail
from tests.kit.clock import NOON
from tests.kit.makers import make_acceptance, make_envelope, make_session
from tests.queue.steps import LEASE, OWNER, keep, run

BY = Author("cli:ann", NOON, id_source())
TO_EAST, OF_BOB = Reach(upstream_id="east"), Reach(user_id="bob")


@pytest.fixture(autouse=True)
def _known(engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(insert(upstreams).values(id="east", name="eastern", kind="sandbox", created_at=NOON))
        tx.execute(insert(users).values(id="bob", name="bob@example.com", created_at=NOON))


def test_stops_say_what_is_stopped_by_whom_and_why(engine: Engine) -> None:
    assert read_with(engine, load_stops) == Stops()
    orders = (
        StopMail(BY, EVERYTHING, "", "moving house"),
        StopMail(BY, TO_EAST, "eastern", ""),
        StopMail(BY, OF_BOB, "bob@example.com", "spam"),
    )
    assert run(engine, stop_mail, *orders) == [True, True, True]
    found = read_with(engine, load_stops)
    assert [stop.sentence for stop in found.all] == [
        "The queue was stopped by cli:ann: moving house",
        "Mail to the upstream eastern was stopped by cli:ann",
        "Mail of the user bob@example.com was stopped by cli:ann: spam",
    ]
    assert found.of() == found.everything


def test_one_stop_does_not_reach_further_than_it_says(engine: Engine) -> None:
    run(engine, stop_mail, StopMail(BY, TO_EAST, "eastern", ""), StopMail(BY, OF_BOB, "bob", ""))
    found = read_with(engine, load_stops)
    assert found.of(upstream_id="east", user_id="eve") == found.upstreams["east"]
    assert found.of(upstream_id="west", user_id="bob") == found.users["bob"]
    assert found.of(upstream_id="west", user_id="eve") is None
    assert found.of() is None


def test_a_second_stop_of_the_same_takes_the_place_of_the_first(engine: Engine) -> None:
    for reach in (EVERYTHING, TO_EAST, OF_BOB):
        assert run(engine, stop_mail, StopMail(BY, reach, "it", "first")) == [True]
        assert run(engine, stop_mail, StopMail(BY, reach, "it", "second")) == [False]
    assert [stop.reason for stop in read_with(engine, load_stops).all] == ["second"] * 3


def test_starting_ends_that_stop_alone_and_every_change_is_told_and_audited(engine: Engine) -> None:
    run(engine, stop_mail, StopMail(BY, EVERYTHING, "", ""), StopMail(BY, OF_BOB, "bob", "spam"))
    before = read_with(engine, read_all)["control"]
    assert run(engine, start_mail, StartMail(BY, EVERYTHING, "")) == [True]
    assert run(engine, start_mail, StartMail(BY, EVERYTHING, "")) == [False]
    assert read_with(engine, read_all)["control"] == before + 1
    assert list(read_with(engine, load_stops).users) == ["bob"]
    with engine.connect() as tx:
        trail = tx.execute(select(audit).order_by(audit.c.id)).all()
    assert [(row.action, row.subject, json.loads(row.detail)) for row in trail] == [
        ("queue.stop", "", {"what": "everything", "reason": ""}),
        ("queue.stop", "bob", {"what": "user", "reason": "spam"}),
        ("queue.start", "", {"what": "everything"}),
    ]


def test_a_stop_ends_with_what_it_stopped(engine: Engine) -> None:
    run(engine, stop_mail, StopMail(BY, TO_EAST, "eastern", ""), StopMail(BY, OF_BOB, "bob", ""))
    with engine.begin() as tx:
        tx.execute(delete(users))
        tx.execute(delete(upstreams))
        assert tx.execute(select(stops)).all() == []


def test_a_claim_passes_over_stopped_users_whatever_their_place(engine: Engine) -> None:
    urgent = make_acceptance(at=NOON - timedelta(hours=1), session=make_session(user_id="bob"))
    mine, nobodys = make_acceptance(), make_acceptance(session=None)
    keep(engine, urgent, mine, nobodys)
    wanted = {"default": 10}
    among = read_with(engine, due_but_of, wanted, ("bob", "eve"))
    (claimed,) = run(engine, claim_due, ClaimOrder(OWNER, NOON, LEASE, wanted, among))
    assert {one.key.message_id for one in claimed} == {mine.id, nobodys.id}
    assert run(engine, claim_due, ClaimOrder(OWNER, NOON, LEASE, wanted, among)) == [[]]
    (claimed,) = run(engine, claim_due, ClaimOrder(OWNER, NOON, LEASE, wanted))
    assert [one.key.message_id for one in claimed] == [urgent.id]


def test_mail_of_shunned_senders_is_taken_only_where_there_is_no_other(engine: Engine) -> None:
    urgent = make_acceptance(at=NOON - timedelta(hours=1), envelope=make_envelope("eve@example.com"))
    report = make_acceptance(envelope=make_envelope(""))
    alone = make_acceptance(envelope=make_envelope("eve@example.com"), route_id="other")
    keep(engine, urgent, report, alone)
    senders = ["eve@example.com", "ida@example.com"]
    shunned = {"default": senders, "other": senders}
    found = read_with(engine, due_but_of, {"default": 10, "other": 10}, (), shunned)
    assert {key.message_id for key in found} == {report.id, alone.id}
