from datetime import timedelta

import pytest
from sqlalchemy import Engine

from relay.db.engine import read_with
from relay.mail.envelope import Body, Envelope
from relay.mail.priority import Priority
from relay.queue.browse import (
    Counts,
    PartStory,
    Position,
    QueueLine,
    accepted_since,
    counts,
    queue_page,
    story,
)
from relay.queue.claim import Release, TakeBack, release, take_back
from relay.queue.items import Origin
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState, RecipientState
from tests.kit.clock import NOON
from tests.kit.makers import (
    CONTENT,
    DEFERRED,
    DELIVERED,
    FAILED,
    make_acceptance,
    make_envelope,
    make_session,
    make_settlement,
)
from tests.queue.steps import OWNER, claim_one, finish, keep, lease, run

HOUR = timedelta(hours=1)


def fill(engine: Engine) -> None:
    """Two queued, one of each other kind."""
    keep(engine, make_acceptance())
    finish(engine, make_settlement(claim_one(engine)))
    keep(engine, make_acceptance(), make_acceptance())
    keep(engine, make_acceptance(due_at=NOON + HOUR))
    keep(engine, make_acceptance(lease=lease()))
    keep(engine, make_acceptance(hold_reason="look at it"))


def test_what_is_to_be_delivered_is_counted(engine: Engine) -> None:
    assert read_with(engine, counts) == Counts()
    fill(engine)
    found = read_with(engine, counts)
    assert found == Counts(queued=2, waiting=1, leased=1, held=1)
    assert found.all == 5


def test_what_was_accepted_since_some_moment_is_counted(engine: Engine) -> None:
    keep(engine, make_acceptance(at=NOON - HOUR), make_acceptance(), make_acceptance(at=NOON + HOUR))
    assert read_with(engine, accepted_since, NOON) == 2


# --- pages ----------------------------------------------------------------------------------------


def test_a_line_tells_what_matters(engine: Engine) -> None:
    envelope = make_envelope(recipients=["bob@example.net", "cy@example.net", "di@example.net"])
    session = make_session(user="ann")
    message = make_acceptance(
        envelope=envelope, session=session, subject="Tea", priority=Priority.HIGH, per_part=2
    )
    keep(engine, message)
    first, second = read_with(engine, queue_page).lines
    assert isinstance(first, QueueLine)
    assert (first.key.message_id, first.state) == (message.id, DeliveryState.QUEUED)
    assert (first.priority, first.route_id, first.attempts) == (Priority.HIGH, "default", 0)
    assert (first.user_name, first.sender, first.subject) == ("ann", "ann@example.com", "Tea")
    assert (first.accepted_at, first.due_at, first.octets) == (NOON, NOON, len(CONTENT))
    assert (first.recipients, first.first_recipient) == (2, "bob@example.net")
    assert (second.recipients, second.first_recipient) == (1, "di@example.net")


def test_a_line_counts_and_names_only_those_it_is_still_to_go_to(engine: Engine) -> None:
    crowd = make_envelope(recipients=["bob@example.net", "cid@example.net", "dan@example.net"])
    keep(engine, make_acceptance(envelope=crowd))
    finish(engine, make_settlement(claim_one(engine), DELIVERED, DEFERRED, DEFERRED, retry_at=NOON + HOUR))
    (line,) = read_with(engine, queue_page).lines
    assert (line.recipients, line.first_recipient) == (2, "cid@example.net")


def test_what_is_done_is_in_no_page(engine: Engine) -> None:
    fill(engine)
    lines = read_with(engine, queue_page).lines
    assert sorted(line.state for line in lines) == ["held", "leased", "queued", "queued", "waiting"]


@pytest.mark.parametrize("state", [s for s in DeliveryState if s is not DeliveryState.DONE])
def test_a_page_may_show_one_state_only(engine: Engine, state: DeliveryState) -> None:
    fill(engine)
    lines = read_with(engine, queue_page, state=state).lines
    assert lines
    assert {line.state for line in lines} == {state}


def test_a_page_may_show_a_selection_only(engine: Engine) -> None:
    message = make_acceptance(route_id="east")
    keep(engine, message, make_acceptance(), make_acceptance(route_id="east", lease=lease()))
    lines = read_with(engine, queue_page, selection=Selection(route_id="east")).lines
    assert {line.route_id for line in lines} == {"east"}
    assert len(lines) == 2


def test_letters_beyond_ascii_are_found_as_they_were_written_and_in_the_other_case(engine: Engine) -> None:
    envelope = make_envelope("Åsa@example.com", ["Élan@example.org"])
    keep(engine, make_acceptance(envelope=envelope, tag="Été"))
    wanted = [
        Selection(tag="Été"),
        Selection(recipient="Élan@example.org"),
        Selection(sender="Åsa@example.com"),
    ]
    if engine.dialect.name == "sqlite":  # PostgreSQL goes by its locale, which the tests' does not have
        wanted += [Selection(tag="éTÉ"), Selection(recipient="élan@example.org")]
    for selection in wanted:
        assert len(read_with(engine, queue_page, selection=selection).lines) == 1, selection


def test_pages_follow_each_other_without_gap_or_repetition(engine: Engine) -> None:
    for hour in range(4):
        at = NOON - hour * HOUR
        keep(engine, make_acceptance(at=at), make_acceptance(at=at, lease=lease()), make_acceptance(at=at))
    seen: list[QueueLine] = []
    after: Position | None = None
    pages = 0
    while pages == 0 or after is not None:
        page = read_with(engine, queue_page, after=after, limit=5)
        assert len(page.lines) <= 5
        seen += page.lines
        after, pages = page.next, pages + 1
    assert pages == 3
    assert len({line.key for line in seen}) == len(seen) == 12
    assert [line.expires_at for line in seen] == sorted(line.expires_at for line in seen)


def test_the_last_page_says_so(engine: Engine) -> None:
    keep(engine, *(make_acceptance() for _ in range(5)))
    assert read_with(engine, queue_page, limit=5).next is None
    assert read_with(engine, queue_page, limit=4).next is not None


# --- stories --------------------------------------------------------------------------------------


def test_there_is_no_story_of_what_never_was(engine: Engine) -> None:
    assert read_with(engine, story, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None


def test_a_story_tells_who_sent_what_and_from_where(engine: Engine) -> None:
    message = make_acceptance(
        envelope=make_envelope(body=Body.EIGHT_BIT, envid="QQ1"),
        session=make_session(user="ann", tls="TLSv1.3 TLS_AES_256_GCM_SHA384"),
        subject="Tea",
        header_from="ann@example.com",
        message_id_field="<1@example.com>",
        tag="invoices",
        priority=Priority.LOW,
    )
    keep(engine, message)
    told = read_with(engine, story, message.id)
    assert told is not None
    assert (told.id, told.origin, told.priority) == (message.id, Origin.SUBMISSION, Priority.LOW)
    assert (told.user_name, told.peer_address, told.helo) == ("ann", "192.0.2.7", "laptop.example.com")
    assert (told.listener, told.tls) == ("submission", "TLSv1.3 TLS_AES_256_GCM_SHA384")
    assert (told.subject, told.header_from, told.tag) == ("Tea", "ann@example.com", "invoices")
    assert (told.message_id_field, told.octets) == ("<1@example.com>", len(CONTENT))
    assert (told.accepted_at, told.expires_at) == (NOON, message.expires_at)
    assert told.envelope == message.envelope
    assert told.has_content
    assert not told.is_finished


def test_a_story_tells_every_attempt_and_what_comes_next_and_why(engine: Engine) -> None:
    envelope = Envelope(
        make_envelope().sender, make_envelope(recipients=["a@b.c", "d@e.f", "g@h.i"]).recipients
    )
    message = make_acceptance(envelope=envelope)
    keep(engine, message)
    claimed = claim_one(engine)
    finish(engine, make_settlement(claimed, DELIVERED, FAILED, DEFERRED, retry_at=NOON + HOUR))
    told = read_with(engine, story, message.id)
    assert told is not None
    assert [(r.address, r.state, r.reply) for r in told.recipients] == [
        ("a@b.c", RecipientState.DELIVERED, "250 2.0.0 Taken"),
        ("d@e.f", RecipientState.FAILED, "550 5.1.1 No such user"),
        ("g@h.i", RecipientState.OPEN, "451 4.3.0 Not now"),
    ]
    (part,) = told.parts
    assert (part.state, part.next_try_at) == (DeliveryState.WAITING, NOON + HOUR)
    assert (part.reason, part.attempts_begun) == ("451 4.3.0 Not now", 1)
    (attempt,) = part.attempts
    assert (attempt.upstream, attempt.number, attempt.started_at) == ("upstream", 1, NOON)
    assert attempt.reply == "451 4.3.0 Not now"
    assert attempt.replies == {1: "250 2.0.0 Taken", 2: "550 5.1.1 No such user"}
    assert told.has_content


def test_a_story_tells_of_a_try_whose_process_died(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance())
    claim_one(engine)
    assert the_part(engine, message_id).lost_tries == (), "it is under way"
    run(engine, take_back, TakeBack(NOON, OWNER))
    assert the_part(engine, message_id).lost_tries == (1,)
    finish(engine, make_settlement(claim_one(engine), DEFERRED, retry_at=NOON + timedelta(hours=1)))
    part = the_part(engine, message_id)
    assert ([attempt.number for attempt in part.attempts], part.lost_tries) == ([2], (1,))


def test_what_was_only_given_back_was_no_try(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance())
    run(engine, release, Release(claim_one(engine), "It waits for more urgent mail"))
    assert the_part(engine, message_id).lost_tries == ()


def the_part(engine: Engine, message_id: str) -> PartStory:
    found = read_with(engine, story, message_id)
    assert found is not None
    return found.parts[0]


def test_a_story_tells_who_has_it_in_hand(engine: Engine) -> None:
    message = make_acceptance(lease=lease())
    keep(engine, message)
    told = read_with(engine, story, message.id)
    assert told is not None
    (part,) = told.parts
    assert (part.state, part.leased_by, part.next_try_at) == (DeliveryState.LEASED, OWNER, None)


def test_a_finished_story_has_no_next_try(engine: Engine) -> None:
    envelope = make_envelope(recipients=["a@b.c", "d@e.f"])
    message = make_acceptance(envelope=envelope, per_part=1, lease=lease())
    keep(engine, message)
    told = read_with(engine, story, message.id)
    assert told is not None
    assert [part.part for part in told.parts] == [1, 2]
    single = make_acceptance()
    keep(engine, single)
    finish(engine, make_settlement(claim_one(engine)))
    told = read_with(engine, story, single.id)
    assert told is not None
    assert told.is_finished
    assert told.parts[0].next_try_at is None
    assert not told.has_content
