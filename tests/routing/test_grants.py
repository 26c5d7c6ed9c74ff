"""Limits of an upstream are shared exactly: whoever asks, however often, no more than that is given."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from relay.db.engine import write_with
from relay.db.tables import upstream_grants
from relay.policy.quotas import Window
from relay.routing.grants import OF_A_BATCH_FOR, Ask, Begun, Grant, Refund, grant, refund
from relay.routing.limits import BadLimits, Limits, checked
from relay.routing.standing import State
from tests.kit.clock import NOON
from tests.routing.conftest import AddUpstream

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def ask(
    engine: Engine,
    upstream_id: str,
    limits: Limits,
    wanted: int,
    now: datetime,
    begun: Begun | None = None,
) -> Grant:
    return write_with(engine, grant, Ask(upstream_id, limits, wanted, now, begun))


def drain(engine: Engine, upstream_id: str, limits: Limits, now: datetime) -> tuple[int, Grant]:
    """Ask until nothing is given any more; return how much was, and the refusal."""
    total = 0
    while (given := ask(engine, upstream_id, limits, 100, now)).messages:
        total += given.messages
    return total, given


def test_a_window_gives_what_it_has_in_slices_and_says_when_the_next_begins(
    engine: Engine, add: AddUpstream
) -> None:
    limits, upstream = Limits(per_minute=80), add()
    first = ask(engine, upstream.id, limits, 100, NOON)
    assert first == Grant(10, NOON + MINUTE), "an eighth at most, to be begun within the minute"
    total, refusal = drain(engine, upstream.id, limits, NOON + 30 * SECOND)
    assert total == 70
    assert refusal == Grant(0, NOON + MINUTE, State.SPENT, "80 messages a minute")
    assert ask(engine, upstream.id, limits, 1, NOON + MINUTE).messages == 1


def test_what_was_given_while_the_clock_was_ahead_is_of_no_window_now(
    engine: Engine, add: AddUpstream
) -> None:
    ahead = NOON + timedelta(days=3)
    limits, upstream = Limits(per_minute=5, per_day=20), add()
    assert drain(engine, upstream.id, limits, ahead)[0] == 5
    assert drain(engine, upstream.id, limits, NOON)[0] == 5
    assert drain(engine, upstream.id, limits, NOON - SECOND)[0] == 0, (
        "another node's clock is a little behind"
    )
    limits, upstream = Limits(batch=4, pause=30), add("batches")
    assert drain(engine, upstream.id, limits, ahead)[0] == 4
    assert drain(engine, upstream.id, limits, NOON)[0] == 4
    assert drain(engine, upstream.id, limits, NOON + 29 * SECOND)[0] == 0
    assert drain(engine, upstream.id, limits, NOON + 40 * SECOND)[0] == 4


def test_of_several_limits_the_one_that_lasts_longest_is_told(engine: Engine, add: AddUpstream) -> None:
    limits, upstream = Limits(per_minute=5, per_hour=5, per_day=100), add()
    assert drain(engine, upstream.id, limits, NOON) == (
        5,
        Grant(0, NOON + 60 * MINUTE, State.SPENT, "5 messages an hour"),
    )


def told(given: Grant, moment: datetime, messages: int | None = None) -> Begun:
    """What a process tells that began so many of those it was given, or all, the last at that moment."""
    assert given.batch is not None
    return Begun(given.batch, given.messages if messages is None else messages, moment)


def test_a_batch_is_followed_by_a_pause_from_its_last_message_on(engine: Engine, add: AddUpstream) -> None:
    limits, upstream = Limits(batch=4, pause=30), add()
    first = ask(engine, upstream.id, limits, 3, NOON)
    last = ask(engine, upstream.id, limits, 3, NOON + 5 * SECOND, told(first, NOON + SECOND))
    assert (first.messages, last.messages) == (3, 1)
    ended = NOON + 5.25 * SECOND
    refusal = ask(engine, upstream.id, limits, 9, NOON + 6 * SECOND, told(last, ended))
    assert refusal == Grant(0, ended + 30 * SECOND, State.PAUSING, "4 messages")
    assert ask(engine, upstream.id, limits, 9, refusal.until - SECOND / 1000) == refusal
    assert ask(engine, upstream.id, limits, 9, refusal.until).messages == 4


def test_what_nobody_knows_to_have_begun_may_still_have(engine: Engine, add: AddUpstream) -> None:
    limits, upstream = Limits(batch=4, pause=30), add()
    mine = ask(engine, upstream.id, limits, 2, NOON)
    assert ask(engine, upstream.id, limits, 2, NOON).messages == 2, "to another, who is never heard of again"
    refusal = ask(engine, upstream.id, limits, 9, NOON, told(mine, NOON))
    assert refusal.until == NOON + 30 * SECOND, "the other may have told until then"
    refusal = ask(engine, upstream.id, limits, 9, refusal.until)
    assert refusal == Grant(0, NOON + OF_A_BATCH_FOR + 30 * SECOND, State.PAUSING, "4 messages")
    assert ask(engine, upstream.id, limits, 9, refusal.until).messages == 4


def test_what_is_told_of_a_batch_that_is_over_is_not_counted_to_the_next(
    engine: Engine, add: AddUpstream
) -> None:
    limits, upstream = Limits(batch=2, pause=10), add()
    late = ask(engine, upstream.id, limits, 2, NOON)
    later = NOON + MINUTE
    assert ask(engine, upstream.id, limits, 2, later).messages == 2
    refusal = ask(engine, upstream.id, limits, 2, later + 3 * SECOND, told(late, NOON))
    assert refusal.until == later + 10 * SECOND
    assert ask(engine, upstream.id, limits, 2, refusal.until).messages == 0


def test_a_batch_that_was_not_filled_goes_on_unless_there_was_a_pause_anyway(
    engine: Engine, add: AddUpstream
) -> None:
    limits, upstream = Limits(batch=4, pause=30), add()
    assert ask(engine, upstream.id, limits, 3, NOON).messages == 3
    assert ask(engine, upstream.id, limits, 3, NOON + 10 * SECOND).messages == 1
    assert ask(engine, upstream.id, limits, 3, NOON + 60 * SECOND).messages == 3
    assert ask(engine, upstream.id, limits, 9, NOON + 120 * SECOND).messages == 4


def test_upstreams_do_not_share_with_each_other(engine: Engine, add: AddUpstream) -> None:
    limits, one, other = Limits(per_day=3), add("one"), add("other")
    assert drain(engine, one.id, limits, NOON)[0] == 3
    assert drain(engine, other.id, limits, NOON)[0] == 3


def test_processes_that_ask_at_the_same_moment_get_no_more_together(engine: Engine, add: AddUpstream) -> None:
    limits, upstream = Limits(per_minute=200, per_hour=150), add()
    with ThreadPoolExecutor(2) as processes:
        totals = list(
            processes.map(lambda _: drain(engine, upstream.id, limits, NOON + 5 * SECOND)[0], range(2))
        )
    assert sum(totals) == 150


def give_back(engine: Engine, upstream_id: str, limits: Limits, messages: int, now: datetime) -> None:
    write_with(engine, refund, Refund(upstream_id, limits, messages, now))


def test_what_one_gives_back_another_is_given(engine: Engine, add: AddUpstream) -> None:
    limits, upstream = Limits(per_minute=8, per_hour=10, batch=9, pause=5), add()
    assert drain(engine, upstream.id, limits, NOON)[0] == 8
    give_back(engine, upstream.id, limits, 3, NOON + SECOND)
    assert drain(engine, upstream.id, limits, NOON + SECOND)[0] == 3
    give_back(engine, upstream.id, limits, 0, NOON + SECOND)
    assert drain(engine, upstream.id, limits, NOON + SECOND)[0] == 0


def test_of_a_window_that_is_over_nothing_is_given_back(engine: Engine, add: AddUpstream) -> None:
    limits, upstream = Limits(per_minute=8, per_hour=20), add()
    assert drain(engine, upstream.id, limits, NOON)[0] == 8
    assert drain(engine, upstream.id, limits, NOON + MINUTE)[0] == 8
    late = NOON + 59 * SECOND  # by the clock of one that is a little slow
    give_back(engine, upstream.id, limits, 2, late)
    assert drain(engine, upstream.id, limits, NOON + MINUTE)[0] == 0
    assert drain(engine, upstream.id, limits, NOON + 2 * MINUTE)[0] == 6, "the hour still runs"


def test_what_is_given_back_to_an_upstream_that_is_gone_or_was_set_otherwise_harms_nobody(
    engine: Engine, add: AddUpstream
) -> None:
    before, after, upstream = Limits(per_minute=8, batch=8, pause=5), Limits(per_minute=8), add()
    assert drain(engine, upstream.id, before, NOON)[0] == 8
    give_back(engine, upstream.id, after, 2, NOON)
    assert drain(engine, upstream.id, before, NOON)[0] == 0, "the batch had its eight"
    assert drain(engine, upstream.id, after, NOON)[0] == 2
    give_back(engine, "gone", before, 2, NOON)


def test_processes_that_ask_and_give_back_at_the_same_moment_get_no_more_together(
    engine: Engine, add: AddUpstream
) -> None:
    limits, upstream = Limits(per_minute=100), add()

    def begin(_: int) -> int:
        """Begin half of what is given, and give back the other."""
        begun = 0
        while (given := ask(engine, upstream.id, limits, 100, NOON)).messages:
            begun += -(-given.messages // 2)
            if unused := given.messages // 2:
                give_back(engine, upstream.id, limits, unused, NOON)
        return begun

    with ThreadPoolExecutor(2) as processes:
        assert sum(processes.map(begin, range(2))) == 100


asks = st.lists(
    st.tuples(
        st.integers(0, 1),  # which process
        st.booleans(),  # whether it gives back first what it has not begun
        st.integers(1, 12),  # how many it wants
        st.integers(0, 45),  # seconds that pass before
        st.lists(st.integers(0, 60), max_size=12),  # how long each waits until it is begun
    ),
    max_size=25,
)
some = st.none() | st.integers(1, 12)
limits = st.builds(
    lambda minute, hour, batch, pause: Limits(
        per_minute=minute, per_hour=hour, batch=batch, pause=pause if batch else 0
    ),
    some,
    some,
    some,
    st.integers(1, 90),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=asks, limits=limits.filter(lambda limits: limits.is_metered))
def test_whatever_two_processes_do_no_limit_is_exceeded(
    engine: Engine, add: AddUpstream, asks: list[tuple[int, bool, int, int, list[int]]], limits: Limits
) -> None:
    upstream_id = _once(engine, add)
    now, begun = NOON, list[datetime]()
    purses = {0: (Grant(0, NOON), list[datetime]()), 1: (Grant(0, NOON), list[datetime]())}
    for process, gives_back, wanted, seconds, waits in asks:
        now += seconds * SECOND
        given, moments = purses[process]
        if gives_back:
            moments = [moment for moment in moments if moment < now]
            if now < given.until and len(moments) < given.messages:
                give_back(engine, upstream_id, limits, given.messages - len(moments), now)
        begun += moments
        past = [moment for moment in moments if moment <= now]
        tells = told(given, max(past), len(past)) if past and given.batch else None
        given = ask(engine, upstream_id, limits, wanted, now, tells)
        planned = [now + wait * SECOND for wait in waits[: given.messages]]
        purses[process] = given, [moment for moment in planned if moment < given.until]
    begun = sorted(begun + purses[0][1] + purses[1][1])
    for window, most in ((Window.MINUTE, limits.per_minute), (Window.HOUR, limits.per_hour)):
        if most is not None:
            assert max(Counter(map(window.begin, begun)).values(), default=0) <= most
    if limits.batch is not None:
        assert max(_runs(begun, limits.rest), default=0) <= limits.batch


def _runs(begun: list[datetime], pause: timedelta) -> list[int]:
    """How many were begun between one pause and the next."""
    runs: list[int] = []
    for number, moment in enumerate(begun):
        if number and moment - begun[number - 1] < pause:
            runs[-1] += 1
        else:
            runs.append(1)
    return runs


def _once(engine: Engine, add: AddUpstream) -> str:
    """The one upstream of this database, of which nothing was given yet."""
    with engine.begin() as tx:
        tx.execute(delete(upstream_grants))
        found = tx.exec_driver_sql("SELECT id FROM upstreams").scalar()
    return str(found) if found else add().id


def test_limits_are_kept_as_they_were_written() -> None:
    written = Limits(per_minute=5, batch=3, pause=10, overflows=True)
    assert Limits.from_json(written.to_json()) == written
    assert Limits.from_json("{}") == Limits()
    assert not Limits(per_connection=5, recipients=2, octets=9, overflows=True).is_metered


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(per_minute=0), "1 or more"),
        (Limits(batch=3), "both --batch and --pause"),
        (Limits(pause=3), "both --batch and --pause"),
        (Limits(batch=3, pause=-3), "number of seconds"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits: Limits, said: str) -> None:
    with pytest.raises(BadLimits, match=said):
        checked(limits)
