import threading
from datetime import timedelta

from sqlalchemy import Engine

from relay.db.engine import read_with
from relay.db.tables import notices
from relay.queue.notices import Told, mark_told, note, untold
from tests.kit.clock import NOON
from tests.kit.makers import make_notice
from tests.queue.steps import count, run

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_a_notice_is_kept_until_it_is_told(engine: Engine) -> None:
    notice = make_notice(sender="eve@example.org", words="ünï\0cödé")
    assert run(engine, note, notice) == [True]
    (found,) = read_with(engine, untold, 10)
    assert (found.id, found.kind, found.facts) == (notice.id, notice.kind, notice.facts)
    assert run(engine, mark_told, Told(notice.id, NOON)) == [True]
    assert read_with(engine, untold, 10) == []


def test_the_oldest_are_told_first(engine: Engine) -> None:
    later, earlier = make_notice(NOON + MINUTE), make_notice(NOON)
    run(engine, note, later, earlier)
    assert [notice.id for notice in read_with(engine, untold, 10)] == [earlier.id, later.id]
    assert [notice.id for notice in read_with(engine, untold, 1)] == [earlier.id]


def test_the_same_is_noted_once_in_its_interval(engine: Engine) -> None:
    first, again = make_notice(key="ann:eve"), make_notice(NOON + HOUR - MINUTE, key="ann:eve")
    assert run(engine, note, first) == [True]
    assert run(engine, note, again) == [False]
    assert run(engine, note, make_notice(NOON + HOUR - MINUTE, key="ann:bob")) == [True]
    assert run(engine, note, make_notice(NOON + HOUR, key="ann:eve")) == [True]
    assert count(engine, notices) == 3


def test_a_clock_that_was_ahead_silences_nothing_once_it_is_set_back(engine: Engine) -> None:
    run(engine, note, make_notice(NOON + 48 * HOUR, key="ann"))
    assert run(engine, note, make_notice(NOON, key="ann")) == [True]
    assert run(engine, note, make_notice(NOON + MINUTE, key="ann")) == [False]


def test_what_was_left_out_does_not_prolong_the_silence(engine: Engine) -> None:
    run(engine, note, make_notice(key="ann"))
    for minutes in range(1, 60):
        run(engine, note, make_notice(NOON + minutes * MINUTE, key="ann"))
    assert run(engine, note, make_notice(NOON + HOUR, key="ann")) == [True]


def test_the_same_is_noted_once_also_within_one_batch(engine: Engine) -> None:
    twins = [make_notice(key="ann"), make_notice(key="bob"), make_notice(key="ann")]
    assert run(engine, note, *twins) == [True, True, False]


def test_what_has_no_key_is_noted_always(engine: Engine) -> None:
    assert run(engine, note, make_notice(), make_notice()) == [True, True]


def test_a_key_may_be_as_long_as_it_likes(engine: Engine) -> None:
    assert run(engine, note, make_notice(key="a" * 5000)) == [True]
    assert run(engine, note, make_notice(key="b" * 5000)) == [True]
    assert run(engine, note, make_notice(key="a" * 5000)) == [False]


def test_several_processes_note_the_same_once(engine: Engine) -> None:
    kept: list[bool] = []
    start = threading.Barrier(4)

    def notice_it() -> None:
        start.wait()
        kept.extend(run(engine, note, make_notice(key="ann")))

    threads = [threading.Thread(target=notice_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept) == [False, False, False, True]


def test_of_two_that_would_tell_one_does(engine: Engine) -> None:
    notice, other = make_notice(), make_notice()
    run(engine, note, notice, other)
    assert run(engine, mark_told, Told(notice.id, NOON), Told(notice.id, NOON)) == [True, False]
    assert run(engine, mark_told, Told(other.id, NOON), Told(notice.id, NOON)) == [True, False]
    assert run(engine, mark_told, Told("nothing", NOON)) == [False]
