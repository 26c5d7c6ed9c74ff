"""How upstreams fare: the latest word counts, and the routing is not read anew for it."""

from datetime import timedelta

from sqlalchemy import Engine

from relay.db.engine import read_with, write_with
from relay.db.revision import Subject, read_all
from relay.routing import health
from relay.routing.health import Check, CheckResult, Health, Sign
from tests.kit.clock import NOON
from tests.routing.conftest import AddUpstream

LATER = NOON + timedelta(minutes=1)


def test_of_a_new_upstream_nothing_is_known(engine: Engine, add: AddUpstream) -> None:
    made = add("provider")
    assert read_with(engine, health.load_health) == {made.id: Health()}


def test_the_latest_of_a_batch_is_kept_for_each_upstream(engine: Engine, add: AddUpstream) -> None:
    one, two = add("one"), add("two")
    with engine.begin() as tx:
        health.record_connected(tx, [Sign(one.id, LATER), Sign(one.id, NOON), Sign(two.id, NOON)])
        health.record_success(tx, [Sign(one.id, NOON)])
        health.record_check(
            tx,
            [
                Check(one.id, LATER, CheckResult.ERROR, "no route to host"),
                Check(one.id, NOON, CheckResult.SUCCESS, "ok"),
            ],
        )
    known = read_with(engine, health.load_health)
    assert known[one.id] == Health(LATER, CheckResult.ERROR, "no route to host", LATER, NOON)
    assert known[two.id] == Health(last_connected_at=NOON)


def test_of_an_upstream_that_is_gone_nothing_is_kept(engine: Engine) -> None:
    write_with(engine, health.record_success, Sign("01GONE", NOON))
    assert read_with(engine, health.load_health) == {}


def test_it_does_not_count_as_a_change_of_the_routing(engine: Engine, add: AddUpstream) -> None:
    made = add("provider")
    before = read_with(engine, read_all)[Subject.ROUTING]
    write_with(engine, health.record_success, Sign(made.id, NOON))
    assert read_with(engine, read_all)[Subject.ROUTING] == before
