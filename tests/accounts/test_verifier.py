"""The verifier: who is let in, what is remembered and for how long, and what everything costs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from sqlalchemy import Engine, event, select, update

from relay.accounts import credentials, keyring, passwords, scram, users, verifier
from relay.accounts.credentials import NewPassword
from relay.accounts.users import Deletion, Edit
from relay.accounts.verifier import TooManyLogins, Verdict, Verifier
from relay.db import tables
from relay.db.audit import Author
from relay.db.database import Database
from relay.policy.networks import parse_networks
from relay.sealing import Sealer
from tests.accounts.conftest import PASSWORD, MakeUser
from tests.kit.clock import HandClock


class Ticks:
    """A stopwatch turned by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def door(db: Database, clock: HandClock, ticks: Ticks) -> AsyncIterator[Verifier]:
    verifier = Verifier(db, clock, Sealer([Fernet.generate_key()]), ticks=ticks)
    yield verifier
    await verifier.close()


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every slow comparison that is made, by what kind it was."""
    made: list[str] = []
    real, dummy = passwords.verify_password, passwords.burn_time

    def verify(password: str, hashed: str) -> bool:
        made.append("real")
        return real(password, hashed)

    def burn() -> None:
        made.append("dummy")
        dummy()

    monkeypatch.setattr(passwords, "verify_password", verify)
    monkeypatch.setattr(passwords, "burn_time", burn)
    return made


async def test_the_right_password_brings_the_user_with_its_credential(
    door: Verifier, make_user: MakeUser
) -> None:
    made = make_user("ann")
    verdict = await door.verify("Ann", PASSWORD)
    assert verdict.user is not None
    assert verdict.user.id == made.id
    assert verdict.user.credential_id is not None


async def test_everybody_else_is_refused_with_a_reason_for_the_log(
    door: Verifier, make_user: MakeUser
) -> None:
    make_user("ann")
    make_user("old", is_active=False)
    assert await door.verify("ann", "wrong password") == Verdict(None, "wrong password")
    assert await door.verify("nobody", PASSWORD) == Verdict(None, "unknown user")
    assert await door.verify("old", PASSWORD) == Verdict(None, "inactive user")
    assert await door.verify("old", "wrong password") == Verdict(None, "wrong password")


async def test_every_refusal_costs_one_comparison(
    door: Verifier, make_user: MakeUser, comparisons: list[str]
) -> None:
    make_user("ann")
    make_user("old", is_active=False)
    await door.verify("nobody", "the first comparison of all")
    for name, password, kind in (
        ("ann", "wrong", "real"),
        ("nobody", "wrong", "dummy"),
        ("old", PASSWORD, "real"),
    ):
        comparisons.clear()
        await door.verify(name, password)
        assert comparisons == [kind]


async def test_who_was_let_in_is_remembered_for_a_minute(
    door: Verifier, make_user: MakeUser, ticks: Ticks, comparisons: list[str]
) -> None:
    make_user("ann")
    assert door.cached("ann", PASSWORD) is None
    user = (await door.verify("ann", PASSWORD)).user
    comparisons.clear()
    assert door.cached("ann", PASSWORD) == user
    assert (await door.verify("ann", PASSWORD)).user == user
    assert comparisons == []
    ticks.seconds = 59.9
    assert door.cached("ann", PASSWORD) == user
    ticks.seconds = 60
    assert door.cached("ann", PASSWORD) is None
    await door.verify("ann", PASSWORD)
    assert comparisons == ["real"]


async def test_only_these_very_words_are_remembered(door: Verifier, make_user: MakeUser) -> None:
    make_user("ann")
    await door.verify("ann", PASSWORD)
    assert door.cached("ann", PASSWORD + " ") is None
    assert door.cached("an", "n" + PASSWORD) is None


async def test_a_refusal_is_not_remembered(
    door: Verifier, db: Database, author: Author, make_user: MakeUser
) -> None:
    make_user("ann", is_active=False)
    assert (await door.verify("ann", PASSWORD)).user is None
    await db.write(users.edit, Edit(author, "ann", lambda p: replace(p, is_active=True)))
    assert (await door.verify("ann", PASSWORD)).user is not None


async def test_after_forgetting_a_change_counts_at_once(
    door: Verifier, db: Database, author: Author, make_user: MakeUser
) -> None:
    make_user("ann")
    await door.verify("ann", PASSWORD)
    await db.write(
        credentials.set_password, NewPassword(author, "ann", passwords.hash_password("new password"))
    )
    door.forget()
    assert door.cached("ann", PASSWORD) is None
    assert (await door.verify("ann", PASSWORD)).why == "wrong password"
    assert (await door.verify("ann", "new password")).user is not None
    await db.write(users.remove, Deletion(author, "ann"))
    door.forget()
    assert (await door.verify("ann", "new password")).why == "unknown user"


async def test_what_was_being_compared_while_accounts_changed_is_compared_anew(
    door: Verifier, db: Database, author: Author, make_user: MakeUser
) -> None:
    make_user("ann")
    asking = asyncio.create_task(door.verify("ann", PASSWORD))
    await asyncio.sleep(0)
    await db.write(users.edit, Edit(author, "ann", lambda p: replace(p, is_active=False)))
    door.forget()
    assert (await asking).user is None
    assert door.cached("ann", PASSWORD) is None


async def test_many_connections_of_one_program_are_compared_once(
    door: Verifier, make_user: MakeUser, comparisons: list[str]
) -> None:
    make_user("ann")
    comparisons.clear()
    verdicts = await asyncio.gather(*(door.verify("ann", PASSWORD) for _ in range(50)))
    assert all(verdict.user is not None for verdict in verdicts)
    assert comparisons.count("real") == 1


async def test_a_client_that_hangs_up_does_not_spoil_it_for_the_others(
    door: Verifier, make_user: MakeUser
) -> None:
    make_user("ann")
    first, second = (asyncio.create_task(door.verify("ann", PASSWORD)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user is not None


async def test_past_a_bound_logins_are_put_off_not_piled_up(
    door: Verifier, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "_MAX_WAITING", 3)
    make_user("ann")
    outcomes = await asyncio.gather(
        *(door.verify("ann", f"guess {n}") for n in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(TooManyLogins) == 2
    assert (await door.verify("ann", PASSWORD)).user is not None


async def test_what_is_remembered_is_bounded(
    door: Verifier, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "_MAX_REMEMBERED", 2)
    for name in ("ann", "bob", "cid"):
        make_user(name)
        await door.verify(name, PASSWORD)
    assert door.cached("ann", PASSWORD) is None
    assert door.cached("bob", PASSWORD) is not None
    assert door.cached("cid", PASSWORD) is not None


async def test_a_password_kept_under_old_parameters_is_kept_anew_after_the_login(
    door: Verifier, engine: Engine, make_user: MakeUser
) -> None:
    weak = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1).hash(PASSWORD)
    make_user("ann")
    with engine.begin() as tx:
        tx.execute(update(tables.credentials).values(password_hash=weak))
    assert (await door.verify("ann", PASSWORD)).user is not None
    await door.close()
    with engine.connect() as tx:
        renewed = tx.execute(select(tables.credentials.c.password_hash)).scalar_one()
    assert passwords.verify_password(PASSWORD, renewed)
    assert not passwords.is_outdated(renewed)


async def test_a_lost_database_is_not_a_wrong_password(
    door: Verifier, engine: Engine, make_user: MakeUser
) -> None:
    make_user("ann")

    def gone(*_: object) -> None:
        raise ConnectionError("the database is gone")

    event.listen(engine, "before_cursor_execute", gone)
    with pytest.raises(ConnectionError):
        await door.verify("ann", PASSWORD)
    event.remove(engine, "before_cursor_execute", gone)
    assert (await door.verify("ann", PASSWORD)).user is not None


async def test_a_credential_that_expired_lets_nobody_in(
    door: Verifier, engine: Engine, clock: HandClock, make_user: MakeUser
) -> None:
    make_user("ann")
    with engine.begin() as tx:
        tx.execute(update(tables.credentials).values(expires_at=clock.now() + timedelta(minutes=5)))
    assert (await door.verify("ann", PASSWORD)).user is not None
    door.forget()
    clock.turn(timedelta(minutes=5))
    assert (await door.verify("ann", PASSWORD)).user is None


async def test_a_password_without_scram_keys_gets_them_at_its_next_login(
    door: Verifier, make_user: MakeUser, engine: Engine
) -> None:
    make_user("ann")
    for _ in range(2):
        assert (await door.proofs("ann", "192.0.2.7")).candidates[0].user is None
        door.forget()
        await door.verify("ann", PASSWORD)
        await asyncio.gather(*door._rehashing)
        assert (await door.proofs("ann", "192.0.2.7")).candidates[0].user is not None
        door._sealer = Sealer([Fernet.generate_key()])  # and so has one whose keys are sealed for ever


async def test_several_credentials_cost_one_comparison(
    door: Verifier, db: Database, author: Author, make_user: MakeUser, comparisons: list[str]
) -> None:
    make_user("ann")
    await door.verify("ann", PASSWORD)
    await asyncio.gather(*door._rehashing)
    for name in ("printer", "phone"):
        keys = scram.sealed_keys("ann", f"the {name}'s own", door._sealer)
        hashed = passwords.hash_password(f"the {name}'s own")
        await db.write(keyring.add_credential, keyring.NewCredential(author, "ann", name, hashed, keys))
    door.forget()
    no_scram = "none of them, nor fit for SCRAM \u200e"
    for password, cost in (
        ("the phone's own", "real"),
        (PASSWORD, "real"),
        ("none of them", "dummy"),
        (no_scram, "dummy"),
    ):
        comparisons.clear()
        verdict = await door.verify("ann", password)
        assert (comparisons, verdict.user is None) == ([cost], cost == "dummy")


async def test_of_credentials_with_one_password_that_one_lets_in_which_is_good_there_and_longest(
    door: Verifier, db: Database, clock: HandClock, author: Author, make_user: MakeUser
) -> None:
    make_user("ann")
    hashed, keys = passwords.hash_password("shared"), scram.sealed_keys("ann", "shared", door._sealer)
    soon, ids = clock.now() + timedelta(hours=1), dict[str, str]()
    for name, network, expires in (
        ("a", "192.0.2.0/24", soon),
        ("b", "198.51.100.0/24", None),
        ("c", "192.0.2.0/24", None),
    ):
        terms = keyring.Terms(parse_networks(network), expires)
        wanted = keyring.NewCredential(author, "ann", name, hashed, keys, terms)
        ids[name] = (await db.write(keyring.add_credential, wanted)).id
    for peer, which in (("192.0.2.7", "c"), ("198.51.100.7", "b"), ("203.0.113.7", "")):
        door.forget()
        verdict = await door.verify("ann", "shared", peer)
        assert (verdict.user and verdict.user.credential_id) == ids.get(which)
        assert door.cached("ann", "shared", peer) == verdict.user
        lets_in = [each.user for each in (await door.proofs("ann", peer)).candidates if each.user]
        assert [user.credential_id for user in lets_in][:1] == [each for w, each in ids.items() if w == which]
