from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from relay.db.tables import contents, deliveries, recipients
from relay.mail.priority import Priority
from relay.queue.browse import queue_page
from relay.queue.control import (
    Cancel,
    Hold,
    Prioritise,
    ReleaseHeld,
    Reroute,
    RetryNow,
    cancel,
    hold,
    prioritise,
    release_held,
    reroute,
    retry_now,
)
from relay.queue.items import Acceptance, Claimed
from relay.queue.janitor import promote
from relay.queue.orders import Affected, affected
from relay.queue.selection import Selection
from relay.queue.settle import settle
from relay.queue.states import DeliveryState, RecipientState
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import DEFERRED, make_acceptance, make_envelope, make_session, make_settlement
from tests.queue.steps import (
    claim,
    claim_one,
    count,
    finish,
    keep,
    lease,
    recipient_states,
    row,
    run,
    state,
    states,
)

HOUR = timedelta(hours=1)
EVERYTHING = Selection()


def waiting(**facts: object) -> Acceptance:
    return make_acceptance(due_at=NOON + HOUR, **facts)  # type: ignore[arg-type]


def test_what_waits_can_be_tried_now_in_the_order_of_its_priority(engine: Engine) -> None:
    keep(engine, make_acceptance(priority=Priority.VERY_LOW), make_acceptance(priority=Priority.HIGH))
    finish(engine, *(make_settlement(each, DEFERRED, retry_at=NOON + HOUR) for each in claim(engine)))
    assert claim(engine) == []
    assert run(engine, retry_now, RetryNow(EVERYTHING, NOON, Settings())) == [2]
    assert [claimed.priority for claimed in claim(engine)] == [Priority.HIGH, Priority.VERY_LOW]


def test_what_is_scheduled_is_tried_before_its_time_only_if_it_is_named(engine: Engine) -> None:
    scheduled, *_ = keep(engine, waiting(), waiting())
    for all_of_them in (EVERYTHING, Selection(state=DeliveryState.WAITING)):
        assert run(engine, retry_now, RetryNow(all_of_them, NOON, Settings())) == [0]
    run(engine, hold, Hold(EVERYTHING, "look at it"))
    run(engine, release_held, ReleaseHeld(EVERYTHING, NOON))
    assert run(engine, retry_now, RetryNow(EVERYTHING, NOON, Settings())) == [0], "it is still scheduled"
    named = Selection(message_ids=(scheduled,))
    assert run(engine, retry_now, RetryNow(named, NOON, Settings())) == [1]
    assert claim_one(engine).key.message_id == scheduled


def test_what_is_held_is_not_tried_now(engine: Engine) -> None:
    keep(engine, make_acceptance(hold_reason="look at it"))
    assert run(engine, retry_now, RetryNow(EVERYTHING, NOON, Settings())) == [0]
    assert state(engine) is DeliveryState.HELD


def test_what_is_held_stays_until_it_is_released(engine: Engine) -> None:
    keep(engine, make_acceptance())
    assert run(engine, hold, Hold(EVERYTHING, "look at it")) == [1]
    assert claim(engine) == []
    assert row(engine, deliveries).reason == "look at it"
    assert run(engine, release_held, ReleaseHeld(EVERYTHING, NOON)) == [1]
    assert row(engine, deliveries).reason is None
    assert claim_one(engine).number == 1


def test_what_is_scheduled_waits_again_when_it_is_released(engine: Engine) -> None:
    keep(engine, waiting())
    run(engine, hold, Hold(EVERYTHING, "look at it"))
    run(engine, release_held, ReleaseHeld(EVERYTHING, NOON))
    assert state(engine) is DeliveryState.WAITING
    run(engine, hold, Hold(EVERYTHING, "look at it"))
    run(engine, release_held, ReleaseHeld(EVERYTHING, NOON + HOUR))
    assert state(engine) is DeliveryState.QUEUED


def test_what_is_cancelled_ends_without_a_bounce(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance(envelope=make_envelope(recipients=["a@b.c", "d@e.f"])))
    assert run(engine, cancel, Cancel(EVERYTHING, NOON, "cancelled by an operator")) == [1]
    assert state(engine) is DeliveryState.DONE
    assert recipient_states(engine, message_id) == [RecipientState.CANCELLED] * 2
    ended = row(engine, recipients, number=1)
    assert (ended.reply, ended.settled_at) == ("cancelled by an operator", NOON)
    assert count(engine, contents) == 0


def test_what_one_part_still_needs_is_not_thrown_away_with_another(engine: Engine) -> None:
    keep(engine, make_acceptance(envelope=make_envelope(recipients=["a@b.c", "d@e.f"]), per_part=1))
    run(engine, cancel, Cancel(Selection(part=1), NOON, "cancelled by an operator"))
    assert count(engine, contents) == 1
    run(engine, settle, make_settlement(claim_one(engine)))
    assert count(engine, contents) == 0


def test_what_is_prioritised_takes_the_place_of_its_new_level(engine: Engine) -> None:
    first, second = make_acceptance(priority=Priority.LOW), waiting(priority=Priority.VERY_LOW)
    third = make_acceptance(priority=Priority.NORMAL)
    keep(engine, first, second, third)
    order = Prioritise(Selection(message_ids=(first.id, second.id)), Priority.HIGH, Settings())
    with engine.connect() as tx:
        by_state = {DeliveryState.QUEUED: 1, DeliveryState.WAITING: 1}
        assert affected(tx, order) == Affected(by_state, recipients=2, others=0)
    assert run(engine, prioritise, order) == [2]
    assert run(engine, prioritise, order) == [0]
    assert [one.key.message_id for one in claim(engine)] == [first.id, third.id]
    (later,) = claim_after(engine, NOON + HOUR)
    assert (later.priority, later.rank_at) == (Priority.HIGH, NOON + HOUR - Settings().head_start_high)


def claim_after(engine: Engine, now: datetime) -> list[Claimed]:
    run(engine, promote, now)
    return claim(engine, at=now)


def test_what_is_rerouted_is_found_on_its_new_way_and_only_there(engine: Engine) -> None:
    keep(engine, make_acceptance(route_id="east"), make_acceptance(route_id="west"))
    assert run(engine, reroute, Reroute(EVERYTHING, "west")) == [1]
    assert claim(engine, route_id="east") == []
    assert len(claim(engine, route_id="west")) == 2


def test_a_selection_knows_mail_by_its_parties_its_tag_and_its_age(engine: Engine) -> None:
    many = make_envelope("ann@Example.COM", ["bob@example.net", "cid@b.example"])
    first = make_acceptance(envelope=many, per_part=1, tag="News Élan")
    second = make_acceptance(envelope=make_envelope("ann@other.example.com"), at=NOON - HOUR)
    keep(engine, first, second)

    def found(**named: object) -> set[tuple[str, int]]:
        with engine.connect() as tx:
            lines = queue_page(tx, selection=Selection(**named)).lines  # type: ignore[arg-type]
        return {(line.key.message_id, line.key.part) for line in lines}

    of_first, of_second = {(first.id, 1), (first.id, 2)}, {(second.id, 1)}
    assert found(sender="example.com") == found(sender="ANN@example.com") == of_first
    assert found(tag="News Élan") == found(tag="nEWS Élan") == of_first
    assert found(tag="news") == set()
    assert found(sender="eve@example.com") == set()
    assert found(recipient="example.net") == {(first.id, 1)} | of_second
    assert found(recipient="cid@b.example") == found(recipient="b.example") == {(first.id, 2)}
    assert found(recipient="%") == set()
    assert found(accepted_before=NOON) == of_second


ORDERS: list[Callable[[Engine], list[int]]] = [
    lambda engine: run(engine, retry_now, RetryNow(EVERYTHING, NOON, Settings())),
    lambda engine: run(engine, hold, Hold(EVERYTHING, "look at it")),
    lambda engine: run(engine, release_held, ReleaseHeld(EVERYTHING, NOON)),
    lambda engine: run(engine, cancel, Cancel(EVERYTHING, NOON, "cancelled by an operator")),
    lambda engine: run(engine, reroute, Reroute(EVERYTHING, "elsewhere")),
    lambda engine: run(engine, prioritise, Prioritise(EVERYTHING, Priority.VERY_HIGH, Settings())),
]


@pytest.mark.parametrize("order", ORDERS)
def test_what_a_process_has_in_hand_is_left_alone(
    engine: Engine, order: Callable[[Engine], list[int]]
) -> None:
    keep(engine, make_acceptance(lease=lease()))
    assert order(engine) == [0]
    assert state(engine) is DeliveryState.LEASED


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_done_is_left_alone(engine: Engine, order: Callable[[Engine], list[int]]) -> None:
    keep(engine, make_acceptance())
    run(engine, settle, make_settlement(claim_one(engine)))
    assert order(engine) == [0]
    assert state(engine) is DeliveryState.DONE


def test_a_selection_means_what_fits_all_that_it_names(engine: Engine) -> None:
    ann = make_session(user_id=None, user="ann")
    first = make_acceptance(route_id="east", priority=Priority.HIGH, session=ann)
    second = make_acceptance(route_id="west", priority=Priority.HIGH)
    third = make_acceptance(route_id="west", priority=Priority.LOW)
    keep(engine, first, second, third)

    def held_by(**named: object) -> set[str]:
        run(engine, hold, Hold(Selection(**named), "look at it"))  # type: ignore[arg-type]
        held = {key.message_id for key, state in states(engine).items() if state is DeliveryState.HELD}
        run(engine, release_held, ReleaseHeld(EVERYTHING, NOON))
        return held

    assert held_by(route_id="west") == {second.id, third.id}
    assert held_by(priority=Priority.HIGH) == {first.id, second.id}
    assert held_by(route_id="west", priority=Priority.HIGH) == {second.id}
    assert held_by(message_ids=(first.id, third.id)) == {first.id, third.id}
    assert held_by(message_ids=()) == set()
    assert held_by(user_id="nobody") == set()
    assert held_by(part=2) == set()


def test_a_selection_by_user_means_the_messages_of_that_user(engine: Engine) -> None:
    mine = make_acceptance(session=make_session(user_id="ann"), origin=make_acceptance().origin.CONSOLE)
    keep(engine, mine, make_acceptance())
    assert run(engine, hold, Hold(Selection(user_id="ann"), "look at it")) == [1]
