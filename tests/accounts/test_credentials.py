"""What the door reads of a user, and what it writes back."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, select, update

from relay.accounts import credentials
from relay.accounts.credentials import NewPassword, RecentUses, Rehash, Use, load_login
from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.policy.decision import Mismatch
from relay.policy.submission import Limits
from tests.accounts.conftest import MakeUser
from tests.kit.clock import NOON

SECOND = timedelta(seconds=1)


def stored(engine: Engine) -> Any:
    with engine.connect() as tx:
        return tx.execute(select(tables.credentials)).one()


def test_a_login_brings_all_that_policy_wants_to_know(engine: Engine, make_user: MakeUser) -> None:
    made = make_user(
        "ann",
        patterns=("example.com",),
        default_priority=Priority.LOW,
        highest_priority=Priority.HIGH,
        mismatch=Mismatch.HOLD,
        default_sender=Address.parse("ann@example.com"),
        limits=Limits(max_message_bytes=70_000),
    )
    login = read_with(engine, load_login, "ANN", NOON)
    assert login is not None
    assert login.is_active
    assert login.user.id == made.id
    assert login.user.grants.allow(Address.parse("anybody@example.com"))
    assert not login.user.grants.allow(Address.parse("anybody@example.org"))
    assert (login.user.default_priority, login.user.highest_priority) == (Priority.LOW, Priority.HIGH)
    assert (login.user.mismatch, login.user.limits.max_message_bytes) == (Mismatch.HOLD, 70_000)
    assert login.user.default_sender == Address.parse("ann@example.com")
    assert [s.credential_id for s in login.secrets] == [stored(engine).id]


def test_a_secret_does_not_print_itself(engine: Engine, make_user: MakeUser) -> None:
    make_user("ann")
    assert "argon2" not in repr(read_with(engine, load_login, "ann", NOON))


def test_who_is_unknown_or_could_not_exist_has_no_login(engine: Engine) -> None:
    assert read_with(engine, load_login, "ann", NOON) is None
    assert read_with(engine, load_login, "a\0b", NOON) is None
    assert read_with(engine, load_login, "\ud800", NOON) is None


def test_an_expired_credential_is_not_brought(engine: Engine, make_user: MakeUser) -> None:
    make_user("ann")
    with engine.begin() as tx:
        tx.execute(update(tables.credentials).values(expires_at=NOON))
    early, late = (read_with(engine, load_login, "ann", NOON + n * SECOND) for n in (-1, 0))
    assert early is not None
    assert len(early.secrets) == 1
    assert late is not None
    assert late.secrets == ()


def test_a_new_password_replaces_the_old(engine: Engine, author: Author, make_user: MakeUser) -> None:
    make_user("ann")
    write_with(engine, credentials.set_password, NewPassword(author, "ann", "new hash"))
    assert stored(engine).password_hash == "new hash"


def test_a_rehash_never_undoes_a_password_set_meanwhile(engine: Engine, make_user: MakeUser) -> None:
    make_user("ann")
    before = stored(engine)
    write_with(engine, credentials.rehash, Rehash(before.id, "another hash", "rehashed"))
    assert stored(engine).password_hash == before.password_hash
    write_with(engine, credentials.rehash, Rehash(before.id, before.password_hash, "rehashed"))
    assert stored(engine).password_hash == "rehashed"


def test_use_is_noted_at_most_once_a_minute_and_the_latest_of_a_batch_counts(
    engine: Engine, make_user: MakeUser
) -> None:
    make_user("ann")
    of = stored(engine).id

    def use(seconds: int, peer: str) -> Use:
        return Use(of, NOON + seconds * SECOND, peer, "laptop")

    with engine.begin() as tx:
        credentials.record_use(tx, [use(3, "192.0.2.3"), use(1, "192.0.2.1")])
    assert (stored(engine).last_used_at, stored(engine).last_used_from) == (NOON + 3 * SECOND, "192.0.2.3")
    write_with(engine, credentials.record_use, use(40, "192.0.2.40"))
    assert stored(engine).last_used_from == "192.0.2.3"
    write_with(engine, credentials.record_use, use(64, "192.0.2.64"))
    assert stored(engine).last_used_from == "192.0.2.64"


def test_a_process_knows_which_uses_it_need_not_write() -> None:
    recent = RecentUses()
    assert [recent.is_due("a", NOON + n * SECOND) for n in (0, 30, 59, 60, 61)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert recent.is_due("b", NOON)


def test_whether_a_credential_expired_meanwhile_is_known(engine: Engine, make_user: MakeUser) -> None:
    make_user("ann")
    with engine.begin() as tx:
        tx.execute(update(tables.credentials).values(expires_at=NOON))
    assert read_with(engine, credentials.has_expired, NOON - SECOND, NOON)
    assert not read_with(engine, credentials.has_expired, NOON, NOON + SECOND)
    assert not read_with(engine, credentials.has_expired, NOON - 2 * SECOND, NOON - SECOND)
