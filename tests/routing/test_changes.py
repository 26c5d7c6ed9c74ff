"""Changing upstreams and routes: counted, audited, and never a stranded message."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select

from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.db.revision import Subject, read_all
from relay.mail.address import Address
from relay.mail.states import DeliveryState
from relay.routing import routes
from relay.routing.changes import (
    EditUpstream,
    OwnUpstream,
    RemoveUpstream,
    UpstreamInUse,
    UpstreamTaken,
    adopt_orphans,
    edit_upstream,
    has_orphans,
    remove_upstream,
    set_own_upstream,
)
from relay.routing.soundness import BadUpstream
from relay.routing.upstreams import NoSuchUpstream, Password, Upstream, all_upstreams, find_upstream
from relay.sealing import Sealer
from tests.kit.clock import NOON
from tests.routing.conftest import AddUpstream, MakeUser

Queue = Callable[[str, DeliveryState], str]

MESSAGE = {
    "expires_at": NOON,
    "origin": "submission",
    "sender": "a@example.com",
    "priority": 3,
    "octets": 10,
    "body": "7BIT",
    "smtputf8": False,
}
DELIVERY = {"priority": 3, "rank_at": NOON, "expires_at": NOON, "attempts": 0}


@pytest.fixture
def queue(engine: Engine, author: Author) -> Queue:
    """Put a message into the queue by some route."""

    def put(route_id: str, state: DeliveryState) -> str:
        message_id = author.id()
        with engine.begin() as tx:
            tx.execute(insert(tables.messages).values(id=message_id, accepted_at=NOON, **MESSAGE))
            tx.execute(
                insert(tables.deliveries).values(
                    message_id=message_id, part=1, route_id=route_id, state=state, due_at=NOON, **DELIVERY
                )
            )
        return message_id

    return put


def route_of(engine: Engine, message_id: str) -> str:
    with engine.connect() as tx:
        wanted = tables.deliveries.c.message_id == message_id
        return str(tx.execute(select(tables.deliveries.c.route_id).where(wanted)).scalar_one())


def default_id(engine: Engine, sealer: Sealer) -> str:
    default = read_with(engine, routes.load, sealer).default
    assert default is not None
    return default.id


def last_of_trail(engine: Engine) -> Any:
    with engine.connect() as tx:
        return tx.execute(select(tables.audit).order_by(tables.audit.c.id.desc())).first()


def test_an_upstream_is_found_again_as_it_was_added(engine: Engine, sealer: Sealer, add: AddUpstream) -> None:
    made = add(
        "full",
        host="SMTP.Example.com",
        port=465,
        username="user",
        password=Password(sealer.seal("secret"), sealer),
        sender_address=Address.parse("relay@example.com"),
        archive_address=Address.parse("archive@example.com"),
        timeout=timedelta(seconds=7),
        concurrency=3,
    )
    found = read_with(engine, find_upstream, "full", sealer)
    assert found == made
    assert found.place == "smtp.example.com:465"
    assert found.password is not None
    assert found.password.reveal() == "secret"
    assert "secret" not in repr(found)
    assert str(found.password.sealed) not in repr(found)


def test_a_name_is_given_once(add: AddUpstream) -> None:
    add("provider")
    with pytest.raises(UpstreamTaken, match='"provider" already'):
        add("provider")


def test_an_unknown_upstream_is_answered_with_the_nearest_name(
    engine: Engine, sealer: Sealer, add: AddUpstream
) -> None:
    add("provider")
    with pytest.raises(NoSuchUpstream, match='Did you mean "provider"'):
        read_with(engine, find_upstream, "provder", sealer)


def test_a_change_is_checked_counted_and_audited_and_the_trail_holds_no_secret(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream
) -> None:
    add("provider")
    secret = Password(sealer.seal("secret"), sealer)

    def change(upstream: Upstream) -> Upstream:
        return replace(upstream, port=465, username="ann", password=secret)

    write_with(engine, edit_upstream, EditUpstream(author, "provider", sealer, change))
    assert read_with(engine, find_upstream, "provider", sealer).port == 465
    assert read_with(engine, read_all)[Subject.ROUTING] == 2
    last = last_of_trail(engine)
    assert (last.action, last.subject) == ("upstream.edit", "provider")
    assert json.loads(last.detail) == {"port": [587, 465], "username": [None, "ann"], "password": "changed"}
    with pytest.raises(BadUpstream):
        write_with(
            engine, edit_upstream, EditUpstream(author, "provider", sealer, lambda u: replace(u, port=0))
        )


def test_a_change_keeps_the_name(engine: Engine, sealer: Sealer, author: Author, add: AddUpstream) -> None:
    add("provider")
    write_with(
        engine, edit_upstream, EditUpstream(author, "provider", sealer, lambda u: replace(u, name="x"))
    )
    assert [u.name for u in read_with(engine, all_upstreams, sealer)] == ["provider"]


def test_an_upstream_that_routes_lead_to_is_deleted_only_by_force(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream, make_user: MakeUser
) -> None:
    first, ann = add("first"), make_user("ann")
    write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", first.id))
    with pytest.raises(UpstreamInUse, match='routes lead to "first": "user:ann", "default"'):
        write_with(engine, remove_upstream, RemoveUpstream(author, "first", sealer))
    write_with(engine, remove_upstream, RemoveUpstream(author, "first", sealer, is_forced=True))
    assert read_with(engine, all_upstreams, sealer) == []
    assert read_with(engine, routes.load, sealer).default is None


def test_an_upstream_that_no_route_leads_to_is_deleted_at_once(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream
) -> None:
    add("first")
    add("second")
    write_with(engine, remove_upstream, RemoveUpstream(author, "second", sealer))
    assert [u.name for u in read_with(engine, all_upstreams, sealer)] == ["first"]


def test_after_the_last_was_deleted_the_next_one_takes_over_the_default_route(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream, queue: Queue
) -> None:
    add("first")
    waiting = queue(default_id(engine, sealer), DeliveryState.QUEUED)
    write_with(engine, remove_upstream, RemoveUpstream(author, "first", sealer, is_forced=True))
    add("second")
    assert route_of(engine, waiting) == default_id(engine, sealer)


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.WAITING])
def test_what_waits_for_a_route_that_is_taken_away_goes_by_the_default_route(
    engine: Engine,
    sealer: Sealer,
    author: Author,
    add: AddUpstream,
    make_user: MakeUser,
    queue: Queue,
    state: DeliveryState,
) -> None:
    add("first")
    second, ann = add("second"), make_user("ann")
    write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", second.id))
    own = read_with(engine, routes.load, sealer).own_route_of(ann)
    assert own is not None
    waiting = queue(own.id, state)
    write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", None))
    assert route_of(engine, waiting) == default_id(engine, sealer)
    assert read_with(engine, routes.load, sealer).own_route_of(ann) is None


def test_orphans_are_found_and_adopted_however_they_came_about(
    engine: Engine, sealer: Sealer, add: AddUpstream, queue: Queue
) -> None:
    add("first")
    well = queue(default_id(engine, sealer), DeliveryState.QUEUED)
    assert not read_with(engine, has_orphans)
    assert write_with(engine, adopt_orphans, None) == 0
    orphan, done = queue("01GONE", DeliveryState.QUEUED), queue("01GONE", DeliveryState.DONE)
    assert read_with(engine, has_orphans)
    assert write_with(engine, adopt_orphans, None) == 1
    assert not read_with(engine, has_orphans)
    assert route_of(engine, orphan) == route_of(engine, well)
    assert route_of(engine, done) == "01GONE"


def test_an_own_upstream_can_be_changed_for_another_and_taken_away_twice(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream, make_user: MakeUser
) -> None:
    first, second, ann = add("first"), add("second"), make_user("ann")
    for upstream in (first, second):
        write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", upstream.id))
    now = read_with(engine, routes.load, sealer)
    own = now.own_route_of(ann)
    assert own is not None
    assert now.upstreams_of(own) == (second,)
    for _ in range(2):
        write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", None))
    assert len(read_with(engine, routes.load, sealer).routes) == 1


def test_a_deleted_user_takes_its_route_along(
    engine: Engine, sealer: Sealer, author: Author, add: AddUpstream, make_user: MakeUser
) -> None:
    first, ann = add("first"), make_user("ann")
    write_with(engine, set_own_upstream, OwnUpstream(author, ann, "ann", first.id))
    with engine.begin() as tx:
        tx.execute(delete(tables.users))
    assert len(read_with(engine, routes.load, sealer).routes) == 1
