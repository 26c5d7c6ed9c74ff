"""A delivery cut into several: everybody is in exactly one of them, and nothing else changes."""

from datetime import timedelta

from sqlalchemy import Engine, select

from relay.db.tables import deliveries, recipients
from relay.mail.priority import Priority
from relay.queue.claim import TakeBack, take_back
from relay.queue.items import Claimed, DeliveryKey
from relay.queue.splitting import Split, split
from relay.queue.states import DeliveryState
from tests.kit.clock import NOON
from tests.kit.makers import DEFERRED, make_acceptance, make_envelope, make_settlement
from tests.queue.steps import LEASE, OTHER, claim, claim_one, finish, keep, run, states

WHY = "Its recipients go different ways"
ENVELOPE = make_envelope(recipients=["a@one.example", "b@two.example", "c@one.example", "d@three.example"])


def cut(claimed: Claimed, *groups: tuple[int, ...]) -> Split:
    return Split(claimed, groups, WHY)


def numbers(found: list[Claimed]) -> dict[int, list[int]]:
    """Who is in which part."""
    return {one.key.part: [r.number for r in one.envelope.recipients] for one in found}


def test_each_group_has_its_delivery_and_all_else_is_inherited(engine: Engine) -> None:
    message = make_acceptance(envelope=ENVELOPE, priority=Priority.HIGH, late_at=NOON + LEASE)
    keep(engine, message)
    claimed = claim_one(engine)
    assert run(engine, split, cut(claimed, (1, 3), (2,), (4,)))[0] is True
    with engine.connect() as tx:
        rows = tx.execute(select(deliveries).order_by(deliveries.c.part)).all()
    assert [row.part for row in rows] == [1, 2, 3]
    assert {(row.state, row.attempts, row.reason, row.leased_by) for row in rows} == {
        (DeliveryState.QUEUED, 0, WHY, None)
    }
    inherited = ("route_id", "priority", "due_at", "rank_at", "expires_at", "late_at")
    assert all(getattr(row, name) == getattr(rows[0], name) for row in rows for name in inherited)
    found = claim(engine)
    assert numbers(found) == {1: [1, 3], 2: [2], 3: [4]}
    assert {one.number for one in found} == {1}


def test_what_was_tried_before_counts_for_all_of_them(engine: Engine) -> None:
    message = make_acceptance(envelope=ENVELOPE)
    keep(engine, message)
    finish(engine, make_settlement(claim_one(engine), DEFERRED, retry_at=NOON))
    with engine.begin() as tx:
        tx.execute(deliveries.update().values(state=DeliveryState.QUEUED))
    run(engine, split, cut(claim_one(engine), (1, 3), (2, 4)))
    assert {one.number for one in claim(engine)} == {2}


def test_several_parts_of_a_message_and_several_messages_at_once(engine: Engine) -> None:
    messages = [make_acceptance(envelope=ENVELOPE, per_part=2) for _ in range(2)]
    keep(engine, *messages)
    first, second = {1: (1,), 2: (3,)}, {1: (2,), 2: (4,)}
    run(engine, split, *(cut(one, first[one.key.part], second[one.key.part]) for one in claim(engine)))
    found = claim(engine)
    assert len(found) == 8
    assert len({one.key for one in found}) == 8
    for message in messages:
        those = numbers([one for one in found if one.key.message_id == message.id])
        assert sorted(those) == [1, 2, 3, 4]
        assert sorted(those.values()) == [[1], [2], [3], [4]]


def test_a_lease_that_was_lost_cuts_nothing(engine: Engine) -> None:
    message = make_acceptance(envelope=ENVELOPE)
    keep(engine, message)
    late = claim_one(engine)
    run(engine, take_back, TakeBack(NOON + LEASE + timedelta(seconds=1)))
    now = claim_one(engine, OTHER)
    assert run(engine, split, cut(late, (1, 3), (2, 4)))[0] is False
    assert states(engine) == {DeliveryKey(message.id, 1): DeliveryState.LEASED}
    with engine.connect() as tx:
        assert set(tx.execute(select(recipients.c.part)).scalars()) == {1}
    assert run(engine, split, cut(now, (1, 3), (2, 4)))[0] is True
