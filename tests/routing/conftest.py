"""Makers of upstreams: one in a line."""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, insert

from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import write_with
from relay.ids import id_source
from relay.routing.changes import NewUpstream, add_upstream
from relay.routing.upstreams import Kind, Upstream
from relay.sealing import Sealer
from tests.kit.clock import NOON

AddUpstream = Callable[..., Upstream]
MakeUser = Callable[[str], str]


@pytest.fixture
def author() -> Author:
    return Author("cli:tester", NOON, id_source(Random(7)))


@pytest.fixture
def sealer() -> Sealer:
    return Sealer([Fernet.generate_key()])


@pytest.fixture
def add(engine: Engine, author: Author) -> AddUpstream:
    def add(name: str = "provider", *, is_default: bool = False, **so: Any) -> Upstream:
        given = {"kind": Kind.SMTP, "host": "smtp.example.com", "port": 587, **so}
        made = Upstream(id=author.id(), name=name, **given)
        return write_with(engine, add_upstream, NewUpstream(author, made, is_default))

    return add


@pytest.fixture
def make_user(engine: Engine, author: Author) -> MakeUser:
    def make(name: str, now: datetime = NOON) -> str:
        user_id = author.id()
        with engine.begin() as tx:
            tx.execute(insert(tables.users).values(id=user_id, name=name, created_at=now))
        return user_id

    return make
