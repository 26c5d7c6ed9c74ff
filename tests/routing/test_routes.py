"""The routing table: which way a message goes."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.routing import routes
from relay.routing.changes import EditUpstream, OwnUpstream, edit_upstream, set_own_upstream
from relay.routing.routes import NoRoute, RoutingTable, plan
from relay.sealing import Sealer
from tests.routing.conftest import AddUpstream, MakeUser

TO_THREE = Envelope(
    Address.parse("ann@example.com"),
    tuple(Recipient(n, Address.parse(f"r{n}@example.net")) for n in (1, 2, 3)),
)


def table(engine: Engine, sealer: Sealer) -> RoutingTable:
    return read_with(engine, routes.load, sealer)


def test_without_any_upstream_there_is_no_way(engine: Engine, sealer: Sealer) -> None:
    with pytest.raises(NoRoute, match="relay upstream add"):
        plan(table(engine, sealer), TO_THREE, None)


def test_the_first_upstream_is_where_everything_goes(
    engine: Engine, sealer: Sealer, add: AddUpstream
) -> None:
    first = add("first")
    add("second")
    now = table(engine, sealer)
    ((route_id, numbers),) = plan(now, TO_THREE, "any user").items()
    assert numbers == (1, 2, 3)
    assert now.route(route_id) == now.default
    assert now.default is not None
    assert now.upstreams_of(now.default) == (first,)


def test_another_can_be_made_the_default(engine: Engine, sealer: Sealer, add: AddUpstream) -> None:
    add("first")
    second = add("second", is_default=True)
    now = table(engine, sealer)
    assert now.default is not None
    assert now.upstreams_of(now.default) == (second,)


def test_a_user_with_an_upstream_of_its_own_goes_there_and_nobody_else(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream, make_user: MakeUser
) -> None:
    add("first")
    second, ann = add("second"), make_user("ann")
    write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", second.id))
    now = table(engine, sealer)
    own = now.own_route_of(ann)
    assert own is not None
    assert own.name == "user:ann"
    assert now.upstreams_of(own) == (second,)
    assert plan(now, TO_THREE, ann).keys() == {own.id}
    assert now.default is not None
    assert plan(now, TO_THREE, "somebody else").keys() == plan(now, TO_THREE, None).keys() == {now.default.id}


def test_an_upstream_that_is_switched_off_is_not_sent_to_but_mail_still_has_its_route(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream
) -> None:
    add("first")
    off = EditUpstream(author, "first", sealer, lambda u: replace(u, is_enabled=False))
    write_with(engine, edit_upstream, off)
    now = table(engine, sealer)
    assert now.default is not None
    assert now.upstreams_of(now.default) == ()
    assert plan(now, TO_THREE, None).keys() == {now.default.id}


def test_a_route_that_is_gone_is_the_default_route(engine: Engine, sealer: Sealer, add: AddUpstream) -> None:
    add("first")
    now = table(engine, sealer)
    assert now.route("01GONE") == now.default


def test_two_snapshots_of_the_same_routing_are_equal(
    engine: Engine, sealer: Sealer, add: AddUpstream
) -> None:
    add("first")
    assert table(engine, sealer) == table(engine, sealer)
