"""Which relay processes live."""

from datetime import timedelta

from sqlalchemy import Engine

from relay.db.engine import write_with
from relay.db.nodes import HEARTBEAT, Beat, beat, leave
from tests.kit.clock import HandClock


def living(engine: Engine, owner: str, clock: HandClock) -> int:
    return write_with(engine, beat, Beat(owner, clock.now(), clock.now()))


def test_each_process_learns_how_many_live(engine: Engine, clock: HandClock) -> None:
    assert living(engine, "a/0", clock) == 1
    assert living(engine, "a/1", clock) == 2
    assert living(engine, "a/0", clock) == 2


def test_who_is_silent_for_long_is_dead(engine: Engine, clock: HandClock) -> None:
    living(engine, "a/0", clock)
    clock.turn(2 * HEARTBEAT)
    assert living(engine, "b/0", clock) == 2
    clock.turn(2 * HEARTBEAT + timedelta(seconds=1))
    assert living(engine, "b/0", clock) == 1


def test_who_stops_in_order_is_not_counted_any_more(engine: Engine, clock: HandClock) -> None:
    living(engine, "a/0", clock)
    write_with(engine, leave, "a/0")
    assert living(engine, "b/0", clock) == 1
