from datetime import datetime, timedelta

from sqlalchemy import Engine, insert

from relay.db.engine import read_with
from relay.db.tables import contents, events, messages, notice_keys, notices
from relay.queue.claim import Renewal, renew
from relay.queue.events import purge_events
from relay.queue.items import Lease
from relay.queue.janitor import ExpiryOrder, claim_expired, has_due, promote, purge
from relay.queue.notices import Told, mark_told, note
from relay.queue.states import DeliveryState
from tests.kit.clock import NOON
from tests.kit.makers import make_acceptance, make_notice, make_settlement, new_id
from tests.queue.steps import LEASE, OWNER, claim, claim_one, count, finish, keep, lease, row, run, state

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def expired(engine: Engine, at: datetime, limit: int = 100) -> list[str]:
    (claimed,) = run(engine, claim_expired, ExpiryOrder(OWNER, at, LEASE, limit))
    assert all(one.lease == Lease(OWNER, at + LEASE) for one in claimed)
    return [one.key.message_id for one in claimed]


def test_what_waited_is_queued_when_it_is_due_and_not_before(engine: Engine) -> None:
    keep(engine, make_acceptance(due_at=NOON + MINUTE))
    assert run(engine, promote, NOON + MINUTE - timedelta(microseconds=1)) == [0]
    assert claim(engine) == []
    assert run(engine, promote, NOON + MINUTE) == [1]
    assert claim_one(engine).number == 1


def test_there_is_nothing_to_do_while_nothing_is_due(engine: Engine) -> None:
    keep(engine, make_acceptance(), make_acceptance(due_at=NOON + MINUTE), make_acceptance(lease=lease()))
    assert not read_with(engine, has_due, NOON)


def test_there_is_something_to_do_when_a_wait_a_lease_or_a_life_is_over(engine: Engine) -> None:
    for message, ends_at in (
        (make_acceptance(due_at=NOON + MINUTE), NOON + MINUTE),
        (make_acceptance(lease=lease()), NOON + LEASE),
        (make_acceptance(hold_reason="look at it", lifetime=DAY), NOON + DAY),
    ):
        keep(engine, message)
        assert not read_with(engine, has_due, ends_at - timedelta(microseconds=1))
        assert read_with(engine, has_due, ends_at)
        with engine.begin() as tx:
            tx.execute(messages.delete())


def test_what_lived_long_enough_is_handed_out_to_be_given_up(engine: Engine) -> None:
    queued, held = make_acceptance(lifetime=DAY), make_acceptance(lifetime=DAY, hold_reason="look at it")
    later = make_acceptance(lifetime=2 * DAY)
    waiting = make_acceptance(lifetime=DAY, due_at=NOON + 3 * DAY)
    keep(engine, queued, held, later, waiting)
    assert expired(engine, NOON + DAY - MINUTE) == []
    assert set(expired(engine, NOON + DAY)) == {queued.id, held.id, waiting.id}
    assert expired(engine, NOON + DAY) == []


def test_what_is_in_somebodys_hands_or_done_is_not_given_up(engine: Engine) -> None:
    keep(engine, make_acceptance(lifetime=DAY))
    claimed = claim_one(engine)
    run(engine, renew, Renewal(OWNER, [claimed.key], NOON + 2 * DAY))
    assert expired(engine, NOON + DAY) == []
    finish(engine, make_settlement(claimed))
    assert expired(engine, NOON + DAY) == []


def test_no_more_is_given_up_than_there_is_room_for(engine: Engine) -> None:
    keep(engine, *(make_acceptance(lifetime=DAY) for _ in range(5)))
    assert len(expired(engine, NOON + DAY, limit=3)) == 3
    assert len(expired(engine, NOON + DAY, limit=3)) == 2


# --- purging --------------------------------------------------------------------------------------


def test_what_is_finished_is_forgotten_after_a_while(engine: Engine) -> None:
    keep(engine, make_acceptance(at=NOON - MINUTE), make_acceptance())
    for claimed in claim(engine):
        finish(engine, make_settlement(claimed, keeps_content=True))
    assert run(engine, purge, NOON) == [1]
    assert row(engine, messages).accepted_at == NOON
    assert count(engine, contents) == 1


def test_what_is_not_finished_is_never_forgotten(engine: Engine) -> None:
    keep(engine, make_acceptance(), make_acceptance(hold_reason="look at it"))
    keep(engine, make_acceptance(due_at=NOON + DAY), make_acceptance(lease=lease()))
    assert run(engine, purge, NOON + 365 * DAY) == [0]
    assert count(engine, messages) == 4


def test_what_was_told_is_forgotten_and_what_was_not_is_kept(engine: Engine) -> None:
    told, untold = make_notice(), make_notice()
    run(engine, note, told, untold)
    run(engine, mark_told, Told(told.id, NOON))
    run(engine, purge, NOON + MINUTE)
    assert row(engine, notices).id == untold.id


def test_what_silences_a_notice_is_remembered_for_a_month_more(engine: Engine) -> None:
    run(engine, note, make_notice(key="ann"))
    run(engine, purge, NOON + 29 * DAY)
    assert count(engine, notice_keys) == 1
    run(engine, purge, NOON + 31 * DAY)
    assert count(engine, notice_keys) == 0


def test_refusals_are_forgotten_too(engine: Engine) -> None:
    with engine.begin() as tx:
        rows = [{"id": new_id(at), "at": at, "kind": "refused"} for at in (NOON - DAY, NOON)]
        tx.execute(insert(events), rows)
    run(engine, purge_events, NOON)
    assert row(engine, events).at == NOON


def test_purging_leaves_the_queue_as_it_is(engine: Engine) -> None:
    keep(engine, make_acceptance())
    run(engine, purge, NOON + DAY)
    assert state(engine) is DeliveryState.QUEUED
