"""Users: made, found, changed and deleted; every change counted and audited."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from relay.accounts import users
from relay.accounts.profile import Profile
from relay.accounts.users import Deletion, Edit, NameTaken, NewUser, NoSuchUser
from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.db.revision import Subject, read_all
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.policy.decision import Mismatch
from relay.policy.grants import BadPattern
from relay.policy.submission import Limits
from tests.accounts.conftest import MakeUser
from tests.kit.clock import NOON


def revision(engine: Engine) -> int:
    return read_with(engine, read_all).get(Subject.ACCOUNTS, 0)


def trail(engine: Engine) -> list[Any]:
    with engine.connect() as tx:
        return list(tx.execute(select(tables.audit).order_by(tables.audit.c.id)))


def test_a_user_is_found_again_as_it_was_made_however_the_name_is_written(
    engine: Engine, make_user: MakeUser
) -> None:
    made = make_user(
        "Ann@Example.com",
        patterns=("Example.org", "ann@example.com"),
        default_priority=Priority.LOW,
        highest_priority=Priority.HIGH,
        mismatch=Mismatch.REWRITE,
        default_sender=Address.parse("ann@example.com"),
        contact_address=Address.parse("it@example.org"),
        notes="two\nlines",
        limits=Limits(max_recipients=50),
    )
    assert made.name == "ann@example.com"
    assert made.profile.patterns == ("ann@example.com", "example.org")
    assert read_with(engine, users.find, "ANN@example.COM") == made
    assert read_with(engine, users.everybody) == [made]


def test_a_name_is_given_once(engine: Engine, make_user: MakeUser) -> None:
    make_user("ann")
    with pytest.raises(NameTaken, match='There is a user "ann" already'):
        make_user("ANN")


def test_an_unknown_user_is_answered_with_the_nearest_name(engine: Engine, make_user: MakeUser) -> None:
    make_user("webshop")
    with pytest.raises(NoSuchUser, match=r'no user "webshp"\. Did you mean "webshop"'):
        read_with(engine, users.find, "webshp")
    with pytest.raises(NoSuchUser, match="relay user list"):
        read_with(engine, users.find, "not a possible name")


def test_a_change_sees_the_profile_as_it_stands(engine: Engine, author: Author, make_user: MakeUser) -> None:
    make_user("ann", patterns=("example.com",))
    more = Edit(author, "Ann", lambda p: replace(p, patterns=(*p.patterns, "example.org")))
    less = Edit(
        author, "ann", lambda p: replace(p, patterns=tuple(x for x in p.patterns if x != "example.com"))
    )
    write_with(engine, users.edit, more)
    assert write_with(engine, users.edit, less).profile.patterns == ("example.org",)
    assert read_with(engine, users.find, "ann").profile.patterns == ("example.org",)


def test_a_change_that_makes_no_sense_leaves_everything_as_it_was(
    engine: Engine, author: Author, make_user: MakeUser
) -> None:
    made = make_user("ann")
    before = revision(engine)
    with pytest.raises(BadPattern):
        write_with(
            engine, users.edit, Edit(author, "ann", lambda p: replace(p, patterns=("a..b",), notes="x"))
        )
    assert read_with(engine, users.find, "ann") == made
    assert revision(engine) == before


def test_deleting_a_user_leaves_nothing_of_it_but_the_trail(
    engine: Engine, author: Author, make_user: MakeUser
) -> None:
    make_user("ann")
    make_user("bob")
    write_with(engine, users.remove, Deletion(author, "ann"))
    assert [account.name for account in read_with(engine, users.everybody)] == ["bob"]
    with engine.connect() as tx:
        assert len(tx.execute(select(tables.grants)).all()) == 1
        assert len(tx.execute(select(tables.credentials)).all()) == 1
    assert [row.action for row in trail(engine)] == ["user.add", "user.add", "user.delete"]


def test_every_change_is_counted_and_audited_and_no_change_is_not(
    engine: Engine, author: Author, make_user: MakeUser
) -> None:
    make_user("ann")
    write_with(engine, users.edit, Edit(author, "ann", lambda p: replace(p, is_active=False)))
    write_with(engine, users.edit, Edit(author, "ann", lambda p: replace(p, is_active=False)))
    assert revision(engine) == 2
    *_, last = trail(engine)
    assert (last.actor, last.action, last.subject, last.at) == ("cli:tester", "user.edit", "ann", NOON)
    assert json.loads(last.detail) == {"is_active": [True, False]}


def test_whether_there_is_any_user_can_be_asked(engine: Engine, make_user: MakeUser) -> None:
    assert read_with(engine, users.is_empty)
    make_user()
    assert not read_with(engine, users.is_empty)


def test_the_trail_never_holds_a_hash(engine: Engine, author: Author, password_hash: str) -> None:
    write_with(engine, users.create, NewUser(author, "ann", Profile(), password_hash))
    assert "argon2" not in "".join(row.detail for row in trail(engine))


def test_the_last_use_of_any_credential_is_the_users(engine: Engine, make_user: MakeUser) -> None:
    made = make_user("ann")
    with engine.begin() as tx:
        tx.execute(
            insert(tables.credentials).values(
                id="X" * 26,
                user_id=made.id,
                name="phone",
                password_hash="-",
                created_at=NOON,
                last_used_at=NOON,
            )
        )
    assert read_with(engine, users.find, "ann").last_used_at == NOON
