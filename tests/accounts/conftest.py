"""Makers of accounts: a user in a line, with a password that costs next to nothing to compare."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from relay.accounts import passwords, users
from relay.accounts.profile import Profile
from relay.accounts.users import Account, NewUser
from relay.db.audit import Author
from relay.db.engine import write_with
from relay.ids import id_source
from tests.kit.clock import NOON

PASSWORD = "correct horse battery"
MakeUser = Callable[..., Account]


@pytest.fixture(scope="session")
def password_hash() -> str:
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def author() -> Author:
    return Author("cli:tester", NOON, id_source(Random(7)))


@pytest.fixture
def make_user(engine: Engine, author: Author, password_hash: str) -> MakeUser:
    def make(name: str = "ann", **profile: Any) -> Account:
        profile = {"patterns": ("example.com",), **profile}
        return write_with(engine, users.create, NewUser(author, name, Profile(**profile), password_hash))

    return make
