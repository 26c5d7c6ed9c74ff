"""What processes wrote of an upstream, put together: whether it takes mail now, and if not, why."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from relay.db import nodes
from relay.db.engine import read_with, write_with
from relay.db.nodes import Beat
from relay.routing.standing import Shut, Stand, State, forget_stands, load_stands, record_stands, why_shut
from relay.routing.upstreams import Kind, Upstream
from tests.kit.clock import NOON
from tests.routing.conftest import AddUpstream

UPSTREAM = Upstream("U1", "next", Kind.SMTP)
DOWN = Stand("U1", "a/0", State.DOWN, NOON, NOON + timedelta(seconds=15), "451 4.4.1 Cannot connect")
WORKS = Stand("U1", "a/1", State.WORKS, NOON)


def test_an_upstream_that_nobody_had_trouble_with_takes_mail() -> None:
    assert why_shut(UPSTREAM, [], NOON) is None
    assert why_shut(UPSTREAM, [WORKS], NOON) is None


def test_one_process_with_which_it_works_is_enough() -> None:
    assert why_shut(UPSTREAM, [DOWN, WORKS], NOON) is None


def test_it_is_down_until_the_next_probe_and_then_probed() -> None:
    said = "Upstream next is down: 451 4.4.1 Cannot connect"
    assert why_shut(UPSTREAM, [DOWN], NOON) == Shut(State.DOWN, DOWN.until, said)
    assert DOWN.until is not None
    assert why_shut(UPSTREAM, [DOWN], DOWN.until) == Shut(State.PROBING, DOWN.until, said)


def test_a_limit_ends_by_itself() -> None:
    spent = replace(DOWN, state=State.SPENT, reason="100 messages a minute")
    said = "Upstream next has had its 100 messages a minute"
    assert why_shut(UPSTREAM, [spent], NOON) == Shut(State.SPENT, spent.until, said)
    assert why_shut(UPSTREAM, [spent], NOON + timedelta(minutes=1)) is None


def test_the_soonest_of_several_is_told() -> None:
    later = replace(DOWN, owner="a/1", until=NOON + timedelta(minutes=15))
    shut = why_shut(UPSTREAM, [later, DOWN], NOON)
    assert shut is not None
    assert shut.until == DOWN.until


def test_one_that_is_switched_off_says_so_whatever_else_is_known() -> None:
    off = replace(UPSTREAM, is_enabled=False)
    assert why_shut(off, [DOWN], NOON) == Shut(State.OFF, None, "Upstream next was switched off")


def test_only_what_the_living_wrote_counts_and_each_begins_anew(engine: Engine, add: AddUpstream) -> None:
    upstream = add("next")
    mine = replace(DOWN, upstream_id=upstream.id)
    of_the_dead = replace(mine, owner="gone/0")
    write_with(engine, nodes.beat, Beat("a/0", NOON, NOON))
    for stand in (replace(mine, reason="older"), mine, of_the_dead, replace(mine, upstream_id="deleted")):
        write_with(engine, record_stands, stand)
    assert read_with(engine, load_stands, NOON) == {upstream.id: [mine]}
    assert read_with(engine, load_stands, NOON + timedelta(minutes=1)) == {}
    write_with(engine, forget_stands, "a/0")
    assert read_with(engine, load_stands, NOON) == {}
