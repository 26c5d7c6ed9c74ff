"""Senders hear once that their mail is late, whoever looks and whatever it waits for."""

from datetime import timedelta

from sqlalchemy import Engine

from relay.db.engine import read_with
from relay.db.tables import messages
from relay.mail.reply import Reply
from relay.queue.control import Hold, hold
from relay.queue.items import Acceptance, Origin
from relay.queue.late import Late, LateTold, find_late, tell_late
from relay.queue.selection import Selection
from tests.kit.clock import NOON
from tests.kit.makers import DEFERRED, make_acceptance, make_envelope, make_settlement
from tests.queue.steps import claim, claim_one, count, finish, keep, run

MARK = NOON + timedelta(hours=4)
LATER = NOON + timedelta(hours=6)


def found(engine: Engine, at: timedelta = timedelta(0)) -> list[Late]:
    return read_with(engine, find_late, MARK + at, 10)


def a_report() -> Acceptance:
    return make_acceptance(origin=Origin.BOUNCE, session=None, envelope=make_envelope(sender=""))


def told(late: Late) -> LateTold:
    return LateTold(late.claimed.key, late.late_at, a_report())


def test_what_was_never_tried_is_late_like_any_other(engine: Engine) -> None:
    keep(engine, make_acceptance(late_at=MARK), make_acceptance())
    assert found(engine, -timedelta(seconds=1)) == []
    (late,) = found(engine)
    assert [str(r.address) for r in late.claimed.envelope.recipients] == ["bob@example.net"]


def test_what_was_tried_is_late_for_those_who_have_no_end_yet(engine: Engine) -> None:
    keep(engine, make_acceptance(envelope=make_envelope(recipients=["a@b.test", "c@b.test"]), late_at=MARK))
    finish(engine, make_settlement(claim_one(engine), DEFERRED, Reply(250, "0.0", "Ok"), retry_at=LATER))
    (late,) = found(engine)
    assert [r.number for r in late.claimed.envelope.recipients] == [1]


def test_it_is_told_once_however_many_look(engine: Engine) -> None:
    keep(engine, make_acceptance(late_at=MARK))
    (mine,), (theirs,) = found(engine), found(engine)
    assert run(engine, tell_late, told(mine)) == [True]
    assert run(engine, tell_late, told(theirs)) == [False]
    assert found(engine, timedelta(days=1)) == []
    assert count(engine, messages) == 2


def test_what_is_on_its_way_by_now_is_not_told_of(engine: Engine) -> None:
    keep(engine, make_acceptance(late_at=MARK))
    (late,) = found(engine)
    (claimed,) = claim(engine)
    assert found(engine) == []
    assert run(engine, tell_late, told(late)) == [False]
    finish(engine, make_settlement(claimed, DEFERRED, retry_at=LATER))
    assert run(engine, tell_late, told(late)) == [True]


def test_what_is_held_is_told_of_only_when_it_flows_again(engine: Engine) -> None:
    (message_id,) = keep(engine, make_acceptance(late_at=MARK))
    run(engine, hold, Hold(Selection(message_ids=(message_id,)), "for a look"))
    assert found(engine) == []


def test_who_wants_no_report_is_not_looked_at_again(engine: Engine) -> None:
    keep(engine, make_acceptance(late_at=MARK))
    (late,) = found(engine)
    assert run(engine, tell_late, LateTold(late.claimed.key, late.late_at, None)) == [True]
    assert found(engine) == []
    assert count(engine, messages) == 1
