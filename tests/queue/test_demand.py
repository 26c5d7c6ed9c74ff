"""Where there is something to do is found without reading all that waits."""

from datetime import timedelta

from sqlalchemy import Engine

from relay.db.engine import read_with
from relay.queue.demand import routes_in_demand
from tests.kit.clock import NOON
from tests.kit.makers import make_acceptance
from tests.queue.steps import claim, keep


def test_each_route_with_queued_deliveries_is_named_once(engine: Engine) -> None:
    assert read_with(engine, routes_in_demand) == []
    for route_id in ("b", "a", "b", "c", "a"):
        keep(engine, make_acceptance(route_id=route_id))
    assert read_with(engine, routes_in_demand) == ["a", "b", "c"]


def test_what_waits_is_held_or_in_hand_demands_nothing(engine: Engine) -> None:
    keep(engine, make_acceptance(route_id="later", due_at=NOON + timedelta(hours=1)))
    keep(engine, make_acceptance(route_id="held", hold_reason="an operator wants to see it"))
    keep(engine, make_acceptance(route_id="taken"))
    claim(engine, route_id="taken")
    assert read_with(engine, routes_in_demand) == []
