"""Those for whom a transaction had no room: each group goes on in a delivery of its own."""

from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import Engine, select

from relay.db.tables import attempts, contents, deliveries, recipients
from relay.queue.claim import TakeBack, take_back
from relay.queue.settle import settle
from relay.queue.states import DeliveryState, RecipientState
from tests.kit.clock import NOON
from tests.kit.makers import (
    DEFERRED,
    DELIVERED,
    FAILED,
    NO_ROOM,
    make_acceptance,
    make_envelope,
    make_settlement,
)
from tests.queue.steps import (
    LEASE,
    OTHER,
    claim,
    claim_one,
    count,
    finish,
    keep,
    recipient_states,
    row,
    run,
    states,
)

LATER = NOON + timedelta(minutes=30)
HAS_IT, OPEN = RecipientState.DELIVERED, RecipientState.OPEN
DONE, QUEUED, WAITING = DeliveryState.DONE, DeliveryState.QUEUED, DeliveryState.WAITING


def crowd(engine: Engine, number: int = 4, *, per_part: int = 100) -> str:
    """A message to so many is in the queue."""
    envelope = make_envelope(recipients=[f"r{each}@example.net" for each in range(1, number + 1)])
    (message_id,) = keep(engine, make_acceptance(envelope=envelope, per_part=per_part, late_at=LATER))
    return message_id


def parts_of(engine: Engine) -> list[int]:
    """The delivery of each recipient, by number."""
    with engine.connect() as tx:
        return list(tx.execute(select(recipients.c.part).order_by(recipients.c.number)).scalars())


def test_they_are_due_at_once_in_the_old_place_and_were_not_tried(engine: Engine) -> None:
    message = crowd(engine)
    claimed = claim_one(engine)
    finish(engine, make_settlement(claimed, DELIVERED, DEFERRED, NO_ROOM, NO_ROOM, retry_at=LATER))
    first, second = row(engine, deliveries, part=1), row(engine, deliveries, part=2)
    assert (first.state, first.due_at, first.reason) == (WAITING, LATER, "451 4.3.0 Not now")
    assert (second.state, second.due_at, second.rank_at) == (QUEUED, NOON, claimed.rank_at)
    assert (second.attempts, second.reason) == (0, "452 4.5.3 Too many recipients")
    for name in ("route_id", "priority", "expires_at", "late_at"):
        assert getattr(second, name) == getattr(first, name)
    assert parts_of(engine) == [1, 1, 2, 2]
    assert "452 4.5.3" in row(engine, attempts).replies
    rest = claim_one(engine)
    assert (rest.key.part, rest.number, [r.number for r in rest.envelope.recipients]) == (2, 1, [3, 4])
    assert rest.content is not None
    finish(engine, make_settlement(rest))
    assert recipient_states(engine, message) == [HAS_IT, OPEN, HAS_IT, HAS_IT]


def test_the_content_is_kept_until_the_last_of_them_has_it(engine: Engine) -> None:
    crowd(engine, 3)
    for left in (2, 1, 0):
        assert count(engine, contents) == 1
        finish(engine, make_settlement(claim_one(engine), DELIVERED, *[NO_ROOM] * left))
    assert count(engine, contents) == 0
    assert set(states(engine).values()) == {DONE}
    assert parts_of(engine) == [1, 2, 3]


def test_nothing_is_split_off_by_whoever_lost_the_lease(engine: Engine) -> None:
    crowd(engine)
    slow = make_settlement(claim_one(engine), DELIVERED, DELIVERED, NO_ROOM, NO_ROOM)
    run(engine, take_back, TakeBack(NOON + LEASE))
    assert finish(engine, slow) == [False]
    again = claim_one(engine, OTHER)
    assert [recipient.number for recipient in again.envelope.recipients] == [3, 4]
    assert parts_of(engine) == [1, 1, 1, 1]


def test_settling_it_again_changes_nothing(engine: Engine) -> None:
    crowd(engine)
    settled = make_settlement(claim_one(engine), DELIVERED, DELIVERED, NO_ROOM, NO_ROOM)
    assert finish(engine, settled) == [True]
    before = states(engine)
    assert finish(engine, settled) == [False]
    assert states(engine) == before


@pytest.mark.parametrize("words", [[FAILED] * 4, [DELIVERED] * 2 + [FAILED] * 2])
def test_a_lost_lease_has_no_word_in_what_goes_on_elsewhere(engine: Engine, words: list[object]) -> None:
    message = crowd(engine)
    slow = claim_one(engine)
    run(engine, take_back, TakeBack(NOON + LEASE))
    finish(engine, make_settlement(claim_one(engine, OTHER), DELIVERED, DELIVERED, NO_ROOM, NO_ROOM))
    finish(engine, make_settlement(slow, *words))  # type: ignore[arg-type]
    assert recipient_states(engine, message) == [HAS_IT, HAS_IT, OPEN, OPEN]
    assert count(engine, contents) == 1


@pytest.mark.parametrize("has_left", [True, False])
def test_two_processes_may_do_it_to_one_message_at_once(engine: Engine, has_left: bool) -> None:
    crowd(engine, per_part=2)
    one, other = sorted(claim(engine), key=lambda claimed: claimed.key)
    first = make_settlement(one, DELIVERED, NO_ROOM)
    second = make_settlement(other, DELIVERED, NO_ROOM if has_left else DELIVERED)
    meanwhile = Thread(target=finish, args=(engine, second))
    with engine.begin() as tx:
        settle(tx, [first])
        meanwhile.start()  # it waits for the lock, and finds what it could not see before
        meanwhile.join(0.2)
    meanwhile.join()
    assert parts_of(engine) == ([1, 3, 2, 4] if has_left else [1, 3, 2, 2])
    assert count(engine, contents) == 1
    assert all(claimed.content is not None for claimed in claim(engine))
