import threading
from datetime import timedelta

from sqlalchemy import Engine, update

from relay.db.tables import deliveries, recipients
from relay.mail.priority import Priority
from relay.queue.claim import ClaimOrder, Release, Renewal, TakeBack, claim_due, release, renew, take_back
from relay.queue.items import DeliveryKey, Origin
from relay.queue.leasing import BRINGS_ALONG_OCTETS
from relay.queue.states import DeliveryState, RecipientState
from tests.kit.clock import NOON
from tests.kit.makers import CONTENT, make_acceptance, make_envelope, make_session, make_settlement
from tests.queue.steps import (
    LEASE,
    OTHER,
    OWNER,
    claim,
    claim_one,
    finish,
    keep,
    lease,
    row,
    run,
    state,
    states,
)

MINUTE = timedelta(minutes=1)


def test_what_is_claimed_is_all_that_an_attempt_needs(engine: Engine) -> None:
    message = make_acceptance(priority=Priority.LOW, session=make_session(user_id=None))
    keep(engine, message)
    claimed = claim_one(engine)
    assert claimed.key == DeliveryKey(message.id, 1)
    assert (claimed.number, claimed.route_id, claimed.priority) == (1, "default", Priority.LOW)
    assert (claimed.accepted_at, claimed.expires_at) == (NOON, message.expires_at)
    assert (claimed.origin, claimed.octets, claimed.content) == (Origin.SUBMISSION, len(CONTENT), CONTENT)
    assert claimed.envelope == message.envelope
    assert claimed.lease == lease()
    delivery = row(engine, deliveries)
    assert (delivery.state, delivery.leased_by) == (DeliveryState.LEASED, OWNER)
    assert (delivery.leased_until, delivery.attempts) == (NOON + LEASE, 1)


def test_a_claim_brings_only_the_recipients_of_its_part(engine: Engine) -> None:
    envelope = make_envelope(recipients=[f"r{n}@example.net" for n in range(3)])
    keep(engine, make_acceptance(envelope=envelope, per_part=2))
    numbers = [[r.number for r in claimed.envelope.recipients] for claimed in claim(engine)]
    assert sorted(numbers) == [[1, 2], [3]]


def test_the_most_urgent_go_first(engine: Engine) -> None:
    for priority in (Priority.VERY_LOW, Priority.NORMAL, Priority.VERY_HIGH, Priority.LOW, Priority.HIGH):
        keep(engine, make_acceptance(priority=priority))
    assert [claimed.priority for claimed in claim(engine)] == sorted(Priority)


def test_what_is_old_enough_overtakes_what_is_higher_but_never_the_highest(engine: Engine) -> None:
    keep(engine, make_acceptance(at=NOON - timedelta(hours=2), priority=Priority.VERY_LOW))
    keep(engine, make_acceptance(priority=Priority.HIGH))
    keep(engine, make_acceptance(priority=Priority.VERY_HIGH))
    assert [int(claimed.priority) for claimed in claim(engine)] == [1, 5, 2]


def test_a_claim_takes_no_more_of_a_route_than_there_is_room_for(engine: Engine) -> None:
    keep(engine, *(make_acceptance(route_id="east") for _ in range(5)))
    keep(engine, *(make_acceptance(route_id="west") for _ in range(5)))
    order = ClaimOrder(OWNER, NOON, LEASE, {"east": 2, "west": 3, "nowhere": 4})
    (claimed,) = run(engine, claim_due, order)
    assert sorted(one.route_id for one in claimed) == ["east"] * 2 + ["west"] * 3
    assert len(claim(engine, route_id="east")) == 3


def test_several_orders_in_one_transaction_share_nothing(engine: Engine) -> None:
    keep(engine, *(make_acceptance() for _ in range(5)))
    orders = [ClaimOrder(owner, NOON, LEASE, {"default": 3}) for owner in (OWNER, OTHER)]
    first, second = run(engine, claim_due, *orders)
    assert (len(first), len(second)) == (3, 2)
    assert not {one.key for one in first} & {one.key for one in second}
    assert {one.lease.owner for one in second} == {OTHER}


def test_what_another_process_has_just_claimed_is_passed_over_without_waiting(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # one writer at a time: nobody else can be in the middle of a claim
    keep(engine, *(make_acceptance() for _ in range(4)))
    order = ClaimOrder(OWNER, NOON, LEASE, {"default": 2})
    with engine.begin() as tx:
        (first,) = claim_due(tx, [order])
        second = claim(engine, OTHER, limit=10)  # the first transaction is still open
    assert len(first) == len(second) == 2
    assert not {one.key for one in first} & {one.key for one in second}


def test_claimers_in_parallel_never_get_the_same(engine: Engine) -> None:
    keep(engine, *(make_acceptance() for _ in range(200)))
    taken: list[DeliveryKey] = []

    def take_all(owner: str) -> None:
        while some := claim(engine, owner, limit=7):
            taken.extend(claimed.key for claimed in some)

    threads = [threading.Thread(target=take_all, args=(f"node/{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 200


def test_a_large_content_stays_where_it_is(engine: Engine) -> None:
    keep(engine, make_acceptance(content=b"x" * BRINGS_ALONG_OCTETS))
    keep(engine, make_acceptance(content=b"x" * (BRINGS_ALONG_OCTETS + 1)))
    brought = {claimed.octets: claimed.content for claimed in claim(engine)}
    assert brought[BRINGS_ALONG_OCTETS] is not None
    assert brought[BRINGS_ALONG_OCTETS + 1] is None


def test_what_waits_is_held_or_is_leased_is_not_claimed(engine: Engine) -> None:
    keep(engine, make_acceptance(due_at=NOON + MINUTE))
    keep(engine, make_acceptance(hold_reason="look at it"))
    keep(engine, make_acceptance(lease=lease(OTHER)))
    assert claim(engine) == []


def test_what_has_nobody_left_to_go_to_is_done_instead_of_claimed(engine: Engine) -> None:
    keep(engine, make_acceptance())
    with engine.begin() as tx:
        tx.execute(update(recipients).values(state=RecipientState.DELIVERED))
    assert claim(engine) == []
    assert state(engine) is DeliveryState.DONE


# --- renewing -------------------------------------------------------------------------------------


def test_a_lease_is_renewed(engine: Engine) -> None:
    keep(engine, make_acceptance())
    key = claim_one(engine).key
    assert run(engine, renew, Renewal(OWNER, [key], NOON + 5 * MINUTE)) == [frozenset()]
    assert row(engine, deliveries).leased_until == NOON + 5 * MINUTE
    assert run(engine, take_back, TakeBack(NOON + 4 * MINUTE)) == [0]


def test_who_renews_is_told_what_is_lost(engine: Engine) -> None:
    keep(engine, make_acceptance(), make_acceptance())
    first, second = claim(engine)
    run(engine, take_back, TakeBack(NOON + LEASE))
    (again, _) = claim(engine, OTHER, at=NOON + LEASE)
    kept_by_other = {again.key}
    (lost,) = run(engine, renew, Renewal(OWNER, [first.key, second.key], NOON + 9 * MINUTE))
    assert lost == {first.key, second.key}
    (lost,) = run(engine, renew, Renewal(OTHER, kept_by_other, NOON + 9 * MINUTE))
    assert lost == frozenset()


def test_what_is_not_named_is_not_renewed(engine: Engine) -> None:
    keep(engine, make_acceptance(), make_acceptance())
    first, second = claim(engine)
    run(engine, renew, Renewal(OWNER, [first.key], NOON + 9 * MINUTE))
    assert run(engine, take_back, TakeBack(NOON + LEASE)) == [1]
    assert states(engine)[second.key] is DeliveryState.QUEUED


# --- releasing ------------------------------------------------------------------------------------


def test_what_is_given_back_untried_can_be_claimed_as_the_same_attempt(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    assert run(engine, release, Release(claimed, "the relay stops")) == [True]
    delivery = row(engine, deliveries)
    assert (delivery.state, delivery.reason, delivery.attempts) == (
        DeliveryState.QUEUED,
        "the relay stops",
        0,
    )
    assert (delivery.leased_by, delivery.leased_until) == (None, None)
    again = claim_one(engine, OTHER)
    assert (again.number, again.rank_at) == (1, claimed.rank_at)


def test_what_is_given_back_until_later_waits(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    run(engine, release, Release(claimed, "the upstream rests", NOON + MINUTE))
    delivery = row(engine, deliveries)
    assert (delivery.state, delivery.due_at, delivery.attempts) == (DeliveryState.WAITING, NOON + MINUTE, 0)
    assert delivery.rank_at == claimed.rank_at


def test_what_is_lost_cannot_be_given_back(engine: Engine) -> None:
    keep(engine, make_acceptance())
    lost = claim_one(engine)
    run(engine, take_back, TakeBack(NOON + LEASE))
    assert run(engine, release, Release(lost, "late")) == [False]
    claim_one(engine, OTHER)
    assert run(engine, release, Release(lost, "late")) == [False]
    delivery = row(engine, deliveries)
    assert (delivery.leased_by, delivery.attempts) == (OTHER, 2)


# --- taking back ----------------------------------------------------------------------------------


def test_a_lease_that_ran_out_is_taken_back(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claim_one(engine)
    assert run(engine, take_back, TakeBack(NOON + LEASE - timedelta(seconds=1))) == [0]
    assert run(engine, take_back, TakeBack(NOON + LEASE)) == [1]
    delivery = row(engine, deliveries)
    assert (delivery.state, delivery.leased_by, delivery.attempts) == (DeliveryState.QUEUED, None, 1)
    assert claim_one(engine, OTHER).number == 2


def test_all_of_a_dead_process_is_taken_back_at_once(engine: Engine) -> None:
    keep(engine, make_acceptance(lease=lease()), make_acceptance(lease=lease(OTHER)))
    keep(engine, make_acceptance())
    claim_one(engine)
    assert run(engine, take_back, TakeBack(NOON, owner=OWNER)) == [2]
    leased = [key for key, state in states(engine).items() if state is DeliveryState.LEASED]
    assert len(leased) == 1


def test_what_is_settled_is_not_taken_back(engine: Engine) -> None:
    keep(engine, make_acceptance())
    finish(engine, make_settlement(claim_one(engine)))
    assert run(engine, take_back, TakeBack(NOON + 9 * MINUTE), TakeBack(NOON, owner=OWNER)) == [0, 0]
