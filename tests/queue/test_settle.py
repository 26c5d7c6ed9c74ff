from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import Engine, select, update

from relay.db.engine import read_with
from relay.db.tables import attempts, contents, deliveries, messages, notices, recipients
from relay.mail.envelope import Envelope
from relay.queue.claim import Release, TakeBack, release, take_back
from relay.queue.content import read_content
from relay.queue.control import Hold, hold
from relay.queue.items import Acceptance, Claimed, Origin
from relay.queue.janitor import promote
from relay.queue.selection import Selection
from relay.queue.settle import settle
from relay.queue.states import DeliveryState, RecipientState
from tests.kit.clock import NOON
from tests.kit.makers import (
    DEFERRED,
    DELIVERED,
    FAILED,
    make_acceptance,
    make_envelope,
    make_notice,
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
    lease,
    recipient_states,
    row,
    run,
    state,
    states,
)

LATER = NOON + timedelta(minutes=30)
DONE, WAITING, QUEUED, LEASED = (
    DeliveryState.DONE,
    DeliveryState.WAITING,
    DeliveryState.QUEUED,
    DeliveryState.LEASED,
)


def to(*names: str) -> Envelope:
    return make_envelope(recipients=[f"{name}@example.net" for name in names])


def bounce(of: Claimed) -> Acceptance:
    return make_acceptance(
        origin=Origin.BOUNCE, session=None, envelope=make_envelope("", [str(of.envelope.sender)])
    )


def test_what_is_delivered_is_done_and_its_content_gone(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    assert finish(engine, make_settlement(claimed)) == [True]
    delivery, recipient = row(engine, deliveries), row(engine, recipients)
    assert (delivery.state, delivery.leased_by, delivery.leased_until) == (DONE, None, None)
    assert (recipient.state, recipient.reply) == (RecipientState.DELIVERED, "250 2.0.0 Taken")
    assert recipient.settled_at == NOON
    assert read_with(engine, read_content, claimed.key.message_id) is None


def test_the_attempt_is_remembered(engine: Engine) -> None:
    keep(engine, make_acceptance())
    finish(engine, make_settlement(claim_one(engine)))
    tried = row(engine, attempts)
    assert (tried.part, tried.number, tried.upstream) == (1, 1, "upstream")
    assert (tried.started_at, tried.reply, tried.replies) == (NOON, "250 2.0.0 Taken", None)
    assert tried.remote == "mx.example.net [192.0.2.25]:25"


def test_what_is_deferred_waits_with_the_reason(engine: Engine) -> None:
    keep(engine, make_acceptance())
    finish(engine, make_settlement(claim_one(engine), DEFERRED, retry_at=LATER))
    delivery, recipient = row(engine, deliveries), row(engine, recipients)
    assert (delivery.state, delivery.due_at, delivery.rank_at) == (WAITING, LATER, LATER)
    assert (delivery.reason, delivery.leased_by) == ("451 4.3.0 Not now", None)
    assert (recipient.state, recipient.reply) == (RecipientState.OPEN, "451 4.3.0 Not now")
    assert recipient.settled_at is None
    assert count(engine, contents) == 1


def test_each_recipient_gets_its_own_end(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance(envelope=to("a", "b", "c")))
    claimed = claim_one(engine)
    finish(engine, make_settlement(claimed, DELIVERED, FAILED, DEFERRED, retry_at=LATER))
    assert recipient_states(engine, message_id) == [
        RecipientState.DELIVERED,
        RecipientState.FAILED,
        RecipientState.OPEN,
    ]
    assert state(engine) is WAITING
    tried = row(engine, attempts)
    assert tried.replies == '{"1": "250 2.0.0 Taken", "2": "550 5.1.1 No such user"}'


def test_only_those_still_open_are_tried_again(engine: Engine) -> None:
    keep(engine, make_acceptance(envelope=to("a", "b", "c")))
    claimed = claim_one(engine)
    finish(engine, make_settlement(claimed, DELIVERED, FAILED, DEFERRED, retry_at=LATER))
    with engine.begin() as tx:
        tx.execute(update(deliveries).values(state=QUEUED))
    again = claim_one(engine)
    assert [recipient.number for recipient in again.envelope.recipients] == [3]
    assert again.number == 2
    finish(engine, make_settlement(again))
    assert state(engine) is DONE


def test_one_part_leaves_the_others_alone(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance(envelope=to("a", "b", "c"), per_part=1))
    first, second, third = sorted(claim(engine), key=lambda claimed: claimed.key)
    finish(engine, make_settlement(second))
    assert recipient_states(engine, message_id) == [
        RecipientState.OPEN,
        RecipientState.DELIVERED,
        RecipientState.OPEN,
    ]
    assert count(engine, contents) == 1
    finish(engine, make_settlement(first), make_settlement(third))
    assert count(engine, contents) == 0


def test_many_are_settled_at_once(engine: Engine) -> None:
    keep(engine, *(make_acceptance() for _ in range(30)))
    replies = [DELIVERED, DEFERRED, FAILED] * 10
    settled = [
        make_settlement(claimed, reply, retry_at=LATER)
        for claimed, reply in zip(claim(engine), replies, strict=True)
    ]
    assert finish(engine, *settled) == [True] * 30
    assert sorted(states(engine).values()) == [DONE] * 20 + [WAITING] * 10
    assert count(engine, contents) == 10


def test_an_upstream_may_want_the_content_kept(engine: Engine) -> None:
    keep(engine, make_acceptance())
    finish(engine, make_settlement(claim_one(engine), keeps_content=True))
    assert state(engine) is DONE
    assert count(engine, contents) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_what_one_upstream_wants_kept_is_kept_whatever_the_others_want(engine: Engine, first: int) -> None:
    keep(engine, make_acceptance(envelope=to("a", "b"), per_part=1))
    parts = claim(engine)
    for number, claimed in enumerate((parts[first], parts[1 - first])):
        assert count(engine, contents) == 1
        finish(engine, make_settlement(claimed, keeps_content=number == 0))
    assert count(engine, contents) == 1
    assert set(states(engine).values()) == {DONE}


def copy_for(archive: str) -> Acceptance:
    return make_acceptance(origin=Origin.ARCHIVE, session=None, envelope=make_envelope(recipients=[archive]))


def copies(engine: Engine) -> list[str]:
    with engine.connect() as tx:
        query = select(recipients.c.address).join(messages).where(messages.c.origin == "archive")
        return sorted(tx.execute(query).scalars())


def test_an_archive_gets_one_copy_of_a_message(engine: Engine) -> None:
    keep(engine, make_acceptance(envelope=to("a", "b", "c", "d"), per_part=1))
    one, two, three, four = claim(engine)
    archive = "archive@example.com"
    settled = run(
        engine,
        settle,
        make_settlement(one, bounces=(copy_for(archive),)),
        make_settlement(two, bounces=(copy_for(archive),)),
    )
    assert [len(each.accepted) for each in settled] == [1, 0]
    assert not run(engine, settle, make_settlement(three, bounces=(copy_for(archive),)))[0].accepted
    assert copies(engine) == [archive]
    finish(engine, make_settlement(four, bounces=(copy_for("other@example.com"),)))
    assert copies(engine) == [archive, "other@example.com"]


def test_who_gets_it_at_a_later_try_brings_the_archive_no_second_copy(engine: Engine) -> None:
    keep(engine, make_acceptance(envelope=to("a", "b")))
    copy, again = copy_for("archive@example.com"), copy_for("archive@example.com")
    finish(engine, make_settlement(claim_one(engine), DELIVERED, DEFERRED, retry_at=NOON, bounces=(copy,)))
    run(engine, promote, NOON)
    mine = next(each for each in claim(engine) if each.key.message_id != copy.id)
    finish(engine, make_settlement(mine, bounces=(again,)))
    assert copies(engine) == ["archive@example.com"]


def test_a_failure_and_its_bounce_are_one_thing(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    report = bounce(claimed)
    finish(engine, make_settlement(claimed, FAILED, bounces=(report,)))
    assert states(engine)[claimed.key] is DONE
    assert row(engine, messages, id=report.id).origin == "bounce"
    assert claim_one(engine).key.message_id == report.id


def test_notices_go_with_it(engine: Engine) -> None:
    keep(engine, make_acceptance())
    finish(engine, make_settlement(claim_one(engine), FAILED, notices=(make_notice(),)))
    assert count(engine, notices) == 1


def test_what_is_given_up_is_expired(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance(envelope=to("a", "b", "c")))
    claimed = claim_one(engine)
    finish(engine, make_settlement(claimed, DELIVERED, FAILED, DEFERRED, is_expired=True))
    assert recipient_states(engine, message_id) == [
        RecipientState.DELIVERED,
        RecipientState.EXPIRED,
        RecipientState.EXPIRED,
    ]
    assert state(engine) is DONE


def test_a_recipient_without_exactly_one_outcome_is_a_mistake(engine: Engine) -> None:
    keep(engine, make_acceptance(envelope=to("a", "b")))
    whole = make_settlement(claim_one(engine))
    first, second = whole.outcomes
    for wrong in [(), (first,), (first, first), (first, second, second)]:
        with pytest.raises(ValueError, match="one outcome for each recipient"):
            finish(engine, whole._replace(outcomes=wrong))
    assert state(engine) is LEASED


def test_deferred_without_a_time_is_a_mistake(engine: Engine) -> None:
    keep(engine, make_acceptance())
    with pytest.raises(ValueError, match="until when"):
        finish(engine, make_settlement(claim_one(engine), DEFERRED))


# --- law 4: a lease may be lost while its holder is at work --------------------------------------


def lose(engine: Engine) -> None:
    assert run(engine, take_back, TakeBack(NOON + LEASE)) == [1]


def test_a_lost_lease_is_noticed_and_what_was_delivered_counts(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance())
    late = claim_one(engine)
    lose(engine)
    assert finish(engine, make_settlement(late)) == [False]
    assert recipient_states(engine, message_id) == [RecipientState.DELIVERED]
    assert state(engine) is DONE  # nobody had taken it again, and now nobody needs to
    assert claim(engine, OTHER) == []
    assert count(engine, contents) == 0


def test_who_comes_late_takes_nothing_out_of_anothers_hands(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance())
    late = claim_one(engine)
    lose(engine)
    second = claim_one(engine, OTHER)
    assert finish(engine, make_settlement(late)) == [False]
    assert (state(engine), row(engine, deliveries).leased_by) == (LEASED, OTHER)
    assert finish(engine, make_settlement(second, FAILED)) == [True]
    assert recipient_states(engine, message_id) == [RecipientState.DELIVERED]
    assert state(engine) is DONE
    assert count(engine, attempts) == 2


def test_who_defers_late_changes_nothing(engine: Engine) -> None:
    keep(engine, make_acceptance())
    late = claim_one(engine)
    lose(engine)
    assert finish(engine, make_settlement(late, DEFERRED, retry_at=LATER)) == [False]
    assert state(engine) is QUEUED
    assert row(engine, deliveries).due_at == NOON


def test_what_another_defers_after_all_is_done_is_not_tried_again(engine: Engine) -> None:
    keep(engine, make_acceptance())
    late = claim_one(engine)
    lose(engine)
    second = claim_one(engine, OTHER)
    finish(engine, make_settlement(late))
    finish(engine, make_settlement(second, DEFERRED, retry_at=LATER))
    with engine.begin() as tx:
        tx.execute(update(deliveries).values(state=QUEUED))
    assert claim(engine) == []
    assert state(engine) is DONE
    assert count(engine, contents) == 0


def test_one_failure_is_reported_once(engine: Engine) -> None:
    keep(engine, make_acceptance())
    late = claim_one(engine)
    lose(engine)
    second = claim_one(engine, OTHER)
    finish(engine, make_settlement(late, FAILED, bounces=(bounce(late),)))
    finish(engine, make_settlement(second, FAILED, bounces=(bounce(second),)))
    assert count(engine, messages) == 2


def test_a_delay_is_reported_with_the_deferral_and_once(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    later = make_settlement(claimed, DEFERRED, retry_at=NOON + timedelta(hours=1), bounces=(bounce(claimed),))
    finish(engine, later)
    finish(engine, later)
    assert count(engine, messages) == 2


def test_settling_again_what_may_not_have_been_committed_is_harmless(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    settlement = make_settlement(claimed, FAILED, bounces=(bounce(claimed),), notices=(make_notice(),))
    assert finish(engine, settlement) == [True]
    assert finish(engine, settlement) == [False]
    assert (count(engine, messages), count(engine, attempts), count(engine, notices)) == (2, 1, 1)


def test_an_operator_may_hold_what_was_lost_and_a_late_delivery_still_counts(engine: Engine) -> None:
    keep(engine, make_acceptance())
    late = claim_one(engine)
    lose(engine)
    run(engine, hold, Hold(Selection(), "look at it"))
    finish(engine, make_settlement(late))
    assert state(engine) is DONE


def test_what_is_purged_meanwhile_is_no_fault(engine: Engine) -> None:
    keep(engine, make_acceptance())
    claimed = claim_one(engine)
    with engine.begin() as tx:
        tx.execute(messages.delete())
    assert finish(engine, make_settlement(claimed, FAILED, bounces=(bounce(claimed),))) == [False]
    assert count(engine, messages) == 0


def test_a_late_word_does_not_disturb_the_others_of_its_batch(engine: Engine) -> None:
    keep(engine, make_acceptance(lease=lease()), make_acceptance())
    (there,) = claim(engine, OTHER)
    lost = claim_of_the_short_way(engine)
    run(engine, take_back, TakeBack(NOON, owner=lost.lease.owner))
    assert finish(engine, make_settlement(lost), make_settlement(there)) == [False, True]
    assert set(states(engine).values()) == {DONE}


def claim_of_the_short_way(engine: Engine) -> Claimed:
    """What the accepting process itself has in hand, made by releasing and claiming it."""
    with engine.begin() as tx:
        tx.execute(
            update(deliveries).where(deliveries.c.leased_by == lease().owner).values(state=QUEUED, attempts=0)
        )
    return claim_one(engine)


def test_two_parts_settled_in_two_transactions_at_once_leave_no_content(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # one writer at a time: there is no at once
    keep(engine, make_acceptance(envelope=to("a", "b"), per_part=1))
    first, second = claim(engine)
    other = Thread(target=finish, args=(engine, make_settlement(second)))
    with engine.begin() as tx:
        settle(tx, [make_settlement(first)])
        other.start()
        other.join(0.2)
        assert other.is_alive()  # it waits for this transaction, and then sees what it did
    other.join()
    assert count(engine, contents) == 0


def test_what_was_released_and_taken_again_is_settled_by_its_new_holder_only(engine: Engine) -> None:
    keep(engine, make_acceptance())
    first = claim_one(engine)
    run(engine, release, Release(first, "the relay stops"))
    second = claim_one(engine, OTHER)
    assert first.number == second.number == 1
    assert finish(engine, make_settlement(second)) == [True]
    with engine.connect() as tx:
        assert tx.execute(select(attempts.c.number)).scalars().all() == [1]
