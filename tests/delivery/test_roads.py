"""Which lane a delivery takes, also after what a straight way was known by has changed."""

from collections.abc import AsyncIterator
from random import Random

import pytest

from relay.current import Current
from relay.db.database import Database
from relay.delivery.rules import InForce
from relay.delivery.stationery import PLAIN, Stationery
from relay.ids import id_source
from relay.mail.reply import Reply
from relay.queue.stops import Reach, Stop, Stops
from relay.routing.limits import Limits
from relay.routing.routes import RoutingTable
from relay.routing.upstreams import Upstream
from relay.settings import Settings
from tests.delivery.makers import upstream_at
from tests.delivery.office import Office, table_of
from tests.kit.clock import NOON

DOWN = Reply(451, "4.1", "Cannot connect: connection refused")


def first(**changed: object) -> Upstream:
    return upstream_at(1, id="U1", name="first", **changed)


SECOND = upstream_at(2, id="U2", name="second")


@pytest.fixture
async def office(db: Database) -> AsyncIterator[Office]:
    async with Office(db, first(), SECOND).open() as office:
        assert taken(office) == "U1"
        yield office


def taken(office: Office, octets: int = 100, but: frozenset[str] = frozenset()) -> str | None:
    """The upstream of the lane that is taken, asked twice: the second time it is known."""
    roads = office.worker._roads
    once, again = roads.lane_for("R1", octets, but), roads.lane_for("R1", octets, but)
    assert once is again
    return None if once is None else once.upstream.id


async def test_one_that_goes_down_is_left_until_it_works_again(office: Office) -> None:
    lane = office.worker._roads.lane_for("R1")
    assert lane is not None
    lane.standing.went_down(DOWN, NOON)
    assert taken(office) == "U2"
    lane.standing.works(NOON)
    assert taken(office) == "U1"


async def test_nor_is_it_taken_by_what_was_passed_on_from_it(office: Office) -> None:
    assert taken(office, but=frozenset({"U1"})) == "U2"
    assert taken(office) == "U1"


async def test_one_that_is_stopped_gets_nothing_and_nobody_steps_in(office: Office) -> None:
    stop = Stop(Reach(upstream_id="U1"), "first", "for a test", "cli:ann", NOON)
    office.stops.value = Stops(upstreams={"U1": stop})
    assert taken(office) is None
    office.stops.value = Stops()
    assert taken(office) == "U1"


async def test_limits_that_are_set_are_heeded_at_once(office: Office) -> None:
    office.routing.value = table_of(first(limits=Limits(octets=99)), SECOND)
    assert taken(office) == "U2"
    assert taken(office, octets=99) == "U1"
    office.routing.value = table_of(first(limits=Limits(per_hour=1)), SECOND)
    lane = office.worker._roads.lane_for("R1")
    assert lane is not None
    assert lane._purse is not None
    lane.standing.went_down(DOWN, NOON)
    assert taken(office) == "U2"


async def test_a_route_that_leads_elsewhere_is_followed_at_once(office: Office) -> None:
    office.routing.value = table_of(SECOND, first())
    assert taken(office) == "U2"
    office.routing.value = table_of(first(is_enabled=False))
    assert taken(office) is None
    office.routing.value = table_of(first())
    assert taken(office) == "U1"


def test_the_rules_are_those_of_the_snapshots_in_force() -> None:
    settings, routing, stationery = Current(Settings()), Current(RoutingTable()), Current(PLAIN)
    rules = InForce(settings, routing, stationery, hostname="h", new_id=id_source(Random(1)), rng=Random(1))
    last = rules()
    assert rules() is last
    settings.value = Settings()
    routing.value = table_of(SECOND)
    stationery.value = Stationery()
    for snapshot, name in ((settings, "settings"), (routing, "routing"), (stationery, "stationery")):
        assert getattr(rules(), name) is snapshot.value
    assert rules() is not last
    assert rules() is rules()
