"""When a message is tried again, and when it is given up."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from relay.mail.schedule import RetrySchedule

durations = st.timedeltas(timedelta(seconds=1), timedelta(days=2))


def test_the_first_wait_is_half_an_hour_then_twice_that_up_to_four_hours() -> None:
    schedule = RetrySchedule(jitter=0)
    waits = [schedule.delay_after(attempts, Random(1)) / timedelta(minutes=1) for attempts in range(1, 7)]
    assert waits == [30, 60, 120, 240, 240, 240]


def test_it_is_given_up_after_four_days() -> None:
    noon = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    assert RetrySchedule().gives_up_at(noon) == noon + timedelta(days=4)


def test_mail_deferred_together_is_not_retried_together() -> None:
    rng = Random(1)
    assert len({RetrySchedule().delay_after(1, rng) for _ in range(100)}) == 100


@given(durations, durations, st.integers(1, 100_000), st.floats(0, 1), st.integers())
def test_a_wait_is_within_its_bounds(
    first: timedelta, ceiling: timedelta, attempts: int, jitter: float, seed: int
) -> None:
    schedule = RetrySchedule(first, ceiling, jitter=jitter)
    wait = schedule.delay_after(attempts, Random(seed))
    least = RetrySchedule(first, ceiling, jitter=0).delay_after(attempts, Random(seed))
    assert min(first, ceiling) <= least <= ceiling
    assert least <= wait <= least * (1 + jitter) + timedelta(microseconds=1)
