"""What was last said about a delivery, and what keeps it, as reports have it."""

from datetime import timedelta

from sqlalchemy import Engine

from relay.db.engine import read_with
from relay.mail.reply import Reply
from relay.queue.claim import Release, release
from relay.queue.control import Cancel, cancel
from relay.queue.items import DeliveryKey
from relay.queue.last_words import LastWords, last_words
from relay.queue.selection import Selection
from relay.routing.routes import Leg, Route, RoutingTable
from tests.delivery.makers import upstream_at
from tests.kit.clock import NOON
from tests.kit.makers import DEFERRED, ROUTE, make_acceptance, make_envelope, make_settlement
from tests.queue.steps import claim_one, finish, keep, run

NOWHERE = RoutingTable()
NEXT = upstream_at(25)
BY_DEFAULT = Route(ROUTE, "default", None, (Leg(NEXT.id, 1),))
SOMEWHERE = RoutingTable({NEXT.id: NEXT}, (BY_DEFAULT,), BY_DEFAULT)
LATER = NOON + timedelta(hours=6)


def found(engine: Engine, message_id: str, routing: RoutingTable = NOWHERE) -> LastWords:
    key = DeliveryKey(message_id, 1)
    return read_with(engine, last_words, [key], routing, NOON)[key]


def test_what_was_tried_has_the_last_word_about_each_and_who_was_asked_when(engine: Engine) -> None:
    envelope = make_envelope(recipients=["a@b.test", "c@b.test"])
    (message_id,) = keep(engine, make_acceptance(envelope=envelope))
    settlement = make_settlement(claim_one(engine), DEFERRED, Reply(250, "0.0", "Ok"), retry_at=LATER)
    finish(engine, settlement)
    last = found(engine, message_id)
    assert last.replies == {1: DEFERRED}, "what was said of others is of no use any more"
    assert (last.remote, last.tried_at) == (settlement.record.remote, settlement.record.finished_at)


def test_an_end_that_an_operator_gave_is_no_last_word(engine: Engine) -> None:
    envelope = make_envelope(recipients=["a@b.test", "c@b.test"])
    (message_id,) = keep(engine, make_acceptance(envelope=envelope))
    (number,) = run(engine, cancel, Cancel(Selection(recipient="a@b.test"), NOON, "cancelled by ann"))
    assert number == 1
    assert found(engine, message_id).replies == {}


def test_what_was_never_tried_has_what_keeps_it(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance())
    last = found(engine, message_id)
    assert (dict(last.replies), last.remote, last.tried_at) == ({}, None, None)
    assert last.why == "No upstream was added yet"


def test_with_nothing_in_its_way_the_last_reason_counts_also_in_the_hands_of_who_gives_it_up(
    engine: Engine,
) -> None:
    (message_id,) = keep(engine, make_acceptance())
    assert found(engine, message_id, SOMEWHERE).why == "It waits for its turn"
    run(engine, release, Release(claim_one(engine), "Upstream next is down"))
    claim_one(engine)
    assert found(engine, message_id, SOMEWHERE).why == "Upstream next is down"


def test_what_is_gone_is_left_out(engine: Engine) -> None:
    assert dict(read_with(engine, last_words, [DeliveryKey("01GONE", 1)], NOWHERE, NOON)) == {}
    assert dict(read_with(engine, last_words, [], NOWHERE, NOON)) == {}
