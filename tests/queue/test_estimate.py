"""When a delivery will probably be sent."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from relay.db.engine import read_with
from relay.queue.estimate import estimated_at, pace, recent_durations
from relay.routing.limits import Limits
from relay.routing.upstreams import Kind, Upstream
from tests.kit.clock import NOON
from tests.kit.makers import make_acceptance, make_settlement
from tests.queue.steps import claim_one, finish, keep

SECOND = timedelta(seconds=1)


def upstream(name: str = "east", **facts: object) -> Upstream:
    return Upstream(name, name, Kind.SMTP, host="mx.example.net", port=25, **facts)  # type: ignore[arg-type]


def test_who_is_first_goes_at_once_and_the_last_when_all_others_went() -> None:
    assert estimated_at(NOON, 0, None) == NOON
    assert estimated_at(NOON, 120, 2.0) == NOON + timedelta(minutes=1)
    assert estimated_at(NOON, 1, None) is None


def test_an_upstream_carries_so_many_at_once_as_it_has_connections() -> None:
    assert pace([upstream(concurrency=10)], {"east": SECOND / 2}) == 20.0
    both = [upstream(concurrency=10), upstream("west", concurrency=1)]
    assert pace(both, {"east": SECOND / 2, "west": SECOND}) == 21.0


def test_of_an_upstream_that_was_never_tried_nothing_is_known() -> None:
    assert pace([upstream()], {}) is None
    assert pace([upstream(), upstream("west", concurrency=3)], {"west": SECOND}) == 3.0


def test_no_upstream_carries_more_than_its_limits_allow() -> None:
    for limits, allowed in (
        (Limits(per_minute=30), 0.5),
        (Limits(per_minute=600, per_hour=3600), 1.0),
        (Limits(per_day=86400), 1.0),
        (Limits(batch=50, pause=100), 0.5),
        (Limits(per_minute=6_000_000), 10.0),
    ):
        assert pace([upstream(concurrency=10, limits=limits)], {"east": SECOND}) == allowed


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(1e-3, 1e4))
def test_whoever_has_more_before_it_never_goes_sooner(few: int, more: int, per_second: float) -> None:
    few, more = sorted((few, more))
    sooner, later = estimated_at(NOON, few, per_second), estimated_at(NOON, more, per_second)
    assert sooner is not None
    assert later is not None
    assert NOON <= sooner <= later


def test_how_long_an_attempt_takes_is_told_by_the_last_ones(engine: Engine) -> None:
    assert read_with(engine, recent_durations) == {}
    for seconds in (1, 3):
        keep(engine, make_acceptance())
        settlement = make_settlement(claim_one(engine), at=NOON)
        record = settlement.record
        slow = type(record)(record.upstream, NOON, NOON + seconds * SECOND, record.reply)
        finish(engine, type(settlement)(settlement.claimed, slow, settlement.outcomes))
    assert read_with(engine, recent_durations) == {"upstream": 2 * SECOND}
