"""What is ordered for some recipients concerns nobody else, though they share a delivery."""

from collections.abc import Callable
from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import Engine, select

from relay.db.tables import contents, deliveries, recipients
from relay.mail.priority import Priority
from relay.queue import control
from relay.queue.browse import queue_page
from relay.queue.items import DeliveryKey
from relay.queue.janitor import promote
from relay.queue.orders import Affected, Order, affected, perhaps_delivered
from relay.queue.selection import Selection
from relay.queue.settle import settle
from relay.queue.states import DeliveryState, RecipientState
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import DEFERRED, DELIVERED, make_acceptance, make_envelope, make_settlement
from tests.queue.steps import claim_one, count, finish, keep, lease, recipient_states, row, run, states

LATER = NOON + timedelta(minutes=30)
PEOPLE = ("keep@good.example", "drop@bad.example", "drop.too@BAD.example", "stay@good.example")
BAD = Selection(recipient="bad.example")
QUEUED, WAITING, HELD, DONE = (
    DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.HELD, DeliveryState.DONE,
)  # fmt: skip
OPEN, CANCELLED = RecipientState.OPEN, RecipientState.CANCELLED
CANCEL = control.Cancel(BAD, NOON, "cancelled by an operator")


def crowd(engine: Engine, **facts: object) -> str:
    """A message to good and bad ones alike is in the queue."""
    message = make_acceptance(envelope=make_envelope(recipients=PEOPLE), **facts)  # type: ignore[arg-type]
    return keep(engine, message)[0]


def parts(engine: Engine) -> list[int]:
    """The delivery of each recipient, by number."""
    with engine.connect() as tx:
        ordered = select(recipients.c.part).order_by(recipients.c.message_id, recipients.c.number)
        return list(tx.execute(ordered).scalars())


def counted(engine: Engine, order: Order) -> Affected:
    with engine.connect() as tx:
        return affected(tx, order)


def doubtful(engine: Engine, selection: Selection) -> int:
    """Of how many waiting deliveries the last try perhaps went through."""
    with engine.connect() as tx:
        return perhaps_delivered(tx, control.RetryNow(selection, NOON, Settings()))


def test_only_those_that_are_meant_are_cancelled(engine: Engine) -> None:
    message = crowd(engine)
    assert counted(engine, CANCEL) == Affected({QUEUED: 1}, recipients=2, others=2)
    assert run(engine, control.cancel, CANCEL) == [1]
    assert recipient_states(engine, message) == [OPEN, CANCELLED, CANCELLED, OPEN]
    assert states(engine) == {(message, 1): QUEUED, (message, 2): DONE}
    assert counted(engine, CANCEL) == Affected({}, recipients=0, others=0)
    assert run(engine, control.cancel, CANCEL) == [0]
    rest = claim_one(engine)
    assert [r.number for r in rest.envelope.recipients] == [1, 4]
    run(engine, settle, make_settlement(rest))
    assert count(engine, contents) == 0


@pytest.mark.parametrize(
    ("stands", "order", "then"),
    [
        (QUEUED, lambda e: run(e, control.hold, control.Hold(BAD, "look at it")), HELD),
        (WAITING, lambda e: run(e, control.hold, control.Hold(BAD, "look at it")), HELD),
        (WAITING, lambda e: run(e, control.retry_now, control.RetryNow(BAD, NOON, Settings())), QUEUED),
        (HELD, lambda e: run(e, control.release_held, control.ReleaseHeld(BAD, NOON)), QUEUED),
        (HELD, lambda e: run(e, control.cancel, CANCEL), DONE),
        (WAITING, lambda e: run(e, control.reroute, control.Reroute(BAD, "elsewhere")), WAITING),
        (
            HELD,
            lambda e: run(e, control.prioritise, control.Prioritise(BAD, Priority.HIGH, Settings())),
            HELD,
        ),
    ],
)
def test_whatever_is_ordered_the_others_stay_as_they_are(
    engine: Engine, stands: DeliveryState, order: Callable[[Engine], list[int]], then: DeliveryState
) -> None:
    message = crowd(engine, hold_reason="look at them" if stands is HELD else None, late_at=LATER)
    if stands is WAITING:
        finish(engine, make_settlement(claim_one(engine), DEFERRED, retry_at=LATER))
    before = row(engine, deliveries)
    assert order(engine) == [1]
    assert row(engine, deliveries, part=1) == before
    assert states(engine) == {(message, 1): stands, (message, 2): then}
    assert parts(engine) == [1, 2, 2, 1]


def test_who_is_split_off_keeps_what_is_known_of_the_old_delivery(engine: Engine) -> None:
    crowd(engine)
    finish(engine, make_settlement(claim_one(engine), DEFERRED, retry_at=LATER))
    run(engine, control.reroute, control.Reroute(BAD, "elsewhere"))
    first, second = row(engine, deliveries, part=1), row(engine, deliveries, part=2)
    assert (second.route_id, second.attempts, second.reason) == ("elsewhere", 1, "451 4.3.0 Not now")
    for name in ("state", "due_at", "rank_at", "priority", "expires_at", "attempts", "reason"):
        assert getattr(second, name) == getattr(first, name)


def test_what_perhaps_arrived_is_counted_also_where_it_was_split_off_since(engine: Engine) -> None:
    message = crowd(engine)
    assert doubtful(engine, Selection()) == 0
    end = make_settlement(claim_one(engine), DEFERRED, retry_at=LATER)
    finish(engine, end._replace(record=end.record._replace(perhaps_delivered=True)))
    assert doubtful(engine, Selection()) == doubtful(engine, BAD) == 1
    run(engine, control.reroute, control.Reroute(BAD, "elsewhere"))
    assert doubtful(engine, Selection()) == 2
    assert doubtful(engine, Selection(message_ids=(message,), part=2)) == 1


def test_only_what_the_last_try_was_counts(engine: Engine) -> None:
    crowd(engine)
    end = make_settlement(claim_one(engine), DEFERRED, retry_at=NOON)
    finish(engine, end._replace(record=end.record._replace(perhaps_delivered=True)))
    run(engine, promote, NOON)
    finish(engine, make_settlement(claim_one(engine), DEFERRED, retry_at=LATER))
    assert doubtful(engine, Selection()) == 0


def test_where_all_are_meant_nobody_is_split_off(engine: Engine) -> None:
    both = make_acceptance(envelope=make_envelope(recipients=["a@bad.example", "b@bad.example"]))
    keep(engine, both)
    assert counted(engine, CANCEL) == Affected({QUEUED: 1}, recipients=2, others=0)
    assert run(engine, control.cancel, CANCEL) == [1]
    assert parts(engine) == [1, 1]


def test_a_part_is_named_together_with_a_recipient(engine: Engine) -> None:
    message = crowd(engine, per_part=2)
    assert run(
        engine, control.hold, control.Hold(Selection(part=2, recipient="bad.example"), "look at it")
    ) == [1]
    assert states(engine) == {(message, 1): QUEUED, (message, 2): QUEUED, (message, 3): HELD}
    assert parts(engine) == [1, 1, 3, 2]


def test_who_has_an_end_already_is_not_meant(engine: Engine) -> None:
    message = crowd(engine)
    run(engine, control.reroute, control.Reroute(Selection(recipient="good.example"), "elsewhere"))
    claimed = claim_one(engine)
    assert [r.number for r in claimed.envelope.recipients] == [2, 3]
    finish(engine, make_settlement(claimed, DELIVERED, DEFERRED, retry_at=LATER))
    assert counted(engine, CANCEL) == Affected({WAITING: 1}, recipients=1, others=0)
    gone = Selection(recipient="drop@bad.example")
    assert run(engine, control.cancel, control.Cancel(gone, NOON, "cancelled by an operator")) == [0]
    with engine.connect() as tx:
        assert queue_page(tx, selection=gone).lines == ()
    assert recipient_states(engine, message) == [OPEN, RecipientState.DELIVERED, OPEN, OPEN]


def test_what_a_process_has_in_hand_stays_whole(engine: Engine) -> None:
    crowd(engine, lease=lease())
    assert run(engine, control.cancel, CANCEL) == [0]
    assert parts(engine) == [1, 1, 1, 1]


def test_many_messages_are_counted_and_parted_each_for_itself(engine: Engine) -> None:
    first, second, other = crowd(engine), crowd(engine, due_at=LATER), make_acceptance()
    keep(engine, other)
    order = control.Hold(BAD, "look at it")
    assert counted(engine, order) == Affected({QUEUED: 1, WAITING: 1}, recipients=4, others=4)
    assert counted(engine, control.Hold(Selection(), "look at it")).recipients == 9
    assert run(engine, control.hold, order) == [2]
    held = {key for key, state in states(engine).items() if state is HELD}
    assert held == {(first, 2), (second, 2)}


def test_two_operators_may_part_one_message_at_once(engine: Engine) -> None:
    message = crowd(engine)
    also = control.Cancel(Selection(recipient="keep@good.example"), NOON, "cancelled by another")
    meanwhile = Thread(target=run, args=(engine, control.cancel, also))
    with engine.begin() as tx:
        control.cancel(tx, [CANCEL])
        meanwhile.start()  # it waits for the lock, and counts the parts only then
        meanwhile.join(0.2)
    meanwhile.join()
    assert recipient_states(engine, message) == [CANCELLED, CANCELLED, CANCELLED, OPEN]
    assert parts(engine) == [3, 2, 2, 1]
    assert states(engine)[DeliveryKey(message, 1)] is QUEUED
