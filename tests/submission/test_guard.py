"""Whoever guesses waits, is barred, counted and told of; whoever knows the password is not kept out."""

import asyncio
import json
import socket
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from relay.accounts import keyring
from relay.accounts.attempts import Result, list_attempts
from relay.accounts.bars import Bar, bars_in_force, purge_bars, set_bars
from relay.accounts.keyring import Revocation, Terms
from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.policy.networks import parse_networks
from relay.settings import Settings
from relay.submission import bars
from relay.submission.guard import MOST, By, Guard, Source
from relay.submission.recheck import recheck
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House
from tests.kit.scram import Login, b64, challenge_of
from tests.kit.scram import log_in as log_in_by_scram

LOW = Settings(
    login_failures_per_address=5,
    login_failures_per_network=8,
    login_failures_per_user=3,
    login_lockout=timedelta(minutes=15),
)


class Ticks:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


# --- the counters ----------------------------------------------------------------------------


def test_the_answers_to_failures_come_ever_later() -> None:
    guard = Guard(Ticks())
    delays = [guard.failed("ann", "192.0.2.7", Settings())[0] for _ in range(9)]
    assert delays == [0, 0, 1, 2, 4, 8, 16, 16, 16]
    assert guard.failed("bob", "198.51.100.7", Settings())[0] == 0


def test_each_source_has_its_limit_and_rests_for_the_lockout() -> None:
    ticks = Ticks()
    guard = Guard(ticks)
    for name in "abcde":
        assert guard.bars(name, "192.0.2.7", LOW) == []
        guard.failed(name, "192.0.2.7", LOW)
    assert guard.bars("ann", "192.0.2.7", LOW) == [By.ADDRESS]
    assert guard.bars("ann", "192.0.2.8", LOW) == []
    for name in "fgh":
        guard.failed(name, "192.0.2.8", LOW)
    assert guard.bars("ann", "192.0.2.9", LOW) == [By.NETWORK]
    assert guard.bars("ann", "198.51.100.9", LOW) == []
    ticks.seconds = 15 * 60
    assert guard.bars("ann", "192.0.2.7", LOW) == []


def test_a_name_is_barred_wherever_the_failures_came_from() -> None:
    guard = Guard(Ticks())
    for number in range(3):
        guard.failed("Ann", f"192.0.{number}.7", LOW)
    assert guard.bars("ann", "203.0.113.1", LOW) == [By.NAME]
    assert guard.bars("bob", "203.0.113.1", LOW) == []


def test_ever_fresh_addresses_of_ipv6_are_one_client() -> None:
    guard = Guard(Ticks())
    delays = [guard.failed("ann", f"2001:db8::{number}", LOW)[0] for number in range(1, 4)]
    assert delays == [0, 0, 1]
    assert By.NAME_AT_ADDRESS in guard.bars("ann", "2001:db8::4", LOW)
    assert By.NAME_AT_ADDRESS not in guard.bars("ann", "2001:db8:0:1::4", LOW)
    guard.succeeded("ann", "2001:db8::5")
    assert By.NAME_AT_ADDRESS not in guard.bars("ann", "2001:db8::4", LOW)


def test_a_name_is_the_same_however_its_letters_are_put_together() -> None:
    guard = Guard(Ticks())
    for number, name in enumerate(("J\u00f6rg", "jo\u0308rg", "j\u00f6rg")):
        guard.failed(name, f"192.0.{number}.7", LOW)
    for name in ("j\u00f6rg", "JO\u0308RG"):
        assert guard.bars(name, "203.0.113.1", LOW) == [By.NAME]


def test_the_counters_do_not_fill_the_memory() -> None:
    guard = Guard(Ticks())
    for number in range(MOST // 2):
        guard.failed(f"name-{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", LOW)
    assert len(guard) == MOST


# --- at the door -----------------------------------------------------------------------------


async def at_the_door(house: House, source: str = "127.0.0.1") -> Client:
    opened = socket.create_connection(("127.0.0.1", house.ports["clear"]), source_address=(source, 0))
    opened.setblocking(False)
    client = Client(*await asyncio.open_connection(sock=opened))
    await client.reply()
    await client.ask("EHLO laptop.example.com")
    return client


async def tried(house: House, name: str, password: str = "wrong", source: str = "127.0.0.1") -> str:
    client = await at_the_door(house, source)
    try:
        return await client.ask(
            f"AUTH PLAIN {b64encode(f'{chr(0)}{name}{chr(0)}{password}'.encode()).decode()}"
        )
    finally:
        await client.close()


@pytest.fixture
def strict(house: House) -> House:
    house.set("login_failure_delay", "0s")
    house.set("login_failures_per_address", "5")
    house.set("login_failures_per_network", "8")
    house.set("login_failures_per_user", "3")
    return house


async def test_a_session_ends_after_five_failures(house: House) -> None:
    house.set("login_failure_delay", "0s")
    client = await at_the_door(house)
    proof = b64encode(b"\0ann\0wrong").decode()
    for _ in range(4):
        assert (await client.ask(f"AUTH PLAIN {proof}")).startswith("535 5.7.8")
    assert (await client.ask(f"AUTH PLAIN {proof}")).startswith("535 5.7.8")
    assert (await client.reply()).startswith("421 4.7.0")
    assert await client.reply() == ""
    await client.close()


async def test_the_answer_to_the_third_failure_is_kept_back(house: House) -> None:
    house.set("login_failure_delay", "1s")
    for _ in range(2):
        await tried(house, "ann")
    client = await at_the_door(house)
    await client.send(b"AUTH PLAIN " + b64encode(b"\0ann\0wrong") + b"\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), 0.5)
    assert (await client.reply()).startswith("535")
    await client.close()


async def test_who_fails_too_often_at_one_address_is_barred_there_and_nobody_else(strict: House) -> None:
    for number in range(5):
        assert (await tried(strict, f"name-{number}", source="127.0.5.1")).startswith("535")
    assert (await tried(strict, "ann", PASSWORD, source="127.0.5.1")).startswith("421 4.7.0")
    assert (await tried(strict, "ann", PASSWORD, source="127.0.5.2")).startswith("235")


async def test_a_name_under_attack_is_barred_where_it_is_unknown_and_good_where_it_is_known(
    strict: House,
) -> None:
    assert (await tried(strict, "ann", PASSWORD, source="127.0.1.1")).startswith("235")
    for number in range(3):
        assert (await tried(strict, "ann", source=f"127.0.{number + 5}.1")).startswith("535")
    assert (await tried(strict, "ann", PASSWORD, source="127.0.9.1")).startswith("454 4.7.0")
    assert (await tried(strict, "ann", PASSWORD, source="127.0.1.2")).startswith("235")
    strict.door.logbook.write()  # also by what the database remembers
    assert (await tried(strict, "ann", PASSWORD, source="127.0.1.2")).startswith("235")


async def test_scram_is_guarded_alike(strict: House) -> None:
    for number in range(3):
        client = await at_the_door(strict, f"127.0.{number + 5}.1")
        assert (await log_in_by_scram(client, Login("ann", "wrong"))).startswith("535")
        await client.close()
    client = await at_the_door(strict, "127.0.9.1")
    assert (await log_in_by_scram(client, Login("ann", PASSWORD))).startswith("454 4.7.0")
    await client.close()


async def test_at_a_known_network_its_own_failures_count(strict: House) -> None:
    assert (await tried(strict, "ann", PASSWORD)).startswith("235")
    for _ in range(3):
        await tried(strict, "ann")
    assert (await tried(strict, "ann", PASSWORD)).startswith("454 4.7.0")


async def test_the_user_is_told_once(strict: House) -> None:
    for number in range(3):
        await tried(strict, "ann", source=f"127.0.{number + 5}.1")
        await tried(strict, "nobody", source=f"127.0.{number + 15}.1")
    await tried(strict, "ann", source="127.0.9.1")
    await asyncio.gather(*strict.door.handler._aside)
    with strict.engine.connect() as tx:
        (notice,) = tx.execute(select(tables.notices)).all()
    assert notice.kind == "account_attacked"
    assert json.loads(notice.facts)["client"] == "127.0.7.1"


async def test_attempts_are_counted_by_source(house: House) -> None:
    house.set("login_failure_delay", "0s")
    await tried(house, "Ann", PASSWORD)
    await tried(house, "ann")
    await tried(house, "ann", source="127.0.0.9")
    await tried(house, "nobody")
    await tried(house, "nobody else")
    house.door.logbook.write()
    await asyncio.gather(*house.door.handler._aside)
    today = datetime.now(UTC)
    found = read_with(house.engine, list_attempts, since=today, user=None, result=None, limit=10)
    assert {(each.user_name, each.network, each.result, each.count) for each in found} == {
        ("ann", "127.0.0.0/24", Result.SUCCESS, 1),
        ("ann", "127.0.0.0/24", Result.FAILURE, 2),
        ("", "127.0.0.0/24", Result.FAILURE, 2),
    }


async def test_a_name_that_nobody_has_is_not_kept_whatever_else_is_wrong(house: House) -> None:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop")
    for name in ("made up", "made up, too"):
        login = Login(name, PASSWORD)
        challenge = challenge_of(await client.ask(f"AUTH SCRAM-SHA-256 {b64(login.first.encode())}"))
        final = login.final(challenge, nonce="of-another-day")
        assert (await client.ask(b64(final.encode()))).startswith("535")
    await client.close()
    house.door.logbook.write()
    await asyncio.gather(*house.door.handler._aside)
    today = datetime.now(UTC)
    (found,) = read_with(house.engine, list_attempts, since=today, user=None, result=None, limit=10)
    assert (found.user_name, found.count) == ("", 2)


# --- all processes together ------------------------------------------------------------------


def test_what_is_barred_elsewhere_is_barred_here_until_its_time_is_over() -> None:
    ticks = Ticks()
    guard = Guard(ticks)
    guard.adopt({Source(By.ADDRESS, "192.0.2.7"): 60.0})
    assert guard.bars("ann", "192.0.2.7", LOW) == [By.ADDRESS]
    assert guard.bars("ann", "192.0.2.8", LOW) == []
    ticks.seconds = 61
    assert guard.bars("ann", "192.0.2.7", LOW) == []


async def test_who_is_barred_in_one_process_is_barred_in_all_and_after_a_restart(strict: House) -> None:
    for number in range(3):
        await tried(strict, "ann", source=f"127.0.{number + 5}.1")
    await asyncio.gather(*strict.door.handler._aside)
    strict.door.guard = Guard(strict.door.loop.time)  # as if it were another process
    assert strict.door.guard.bars("ann", "127.0.9.1", LOW) == []
    await bars.read(strict.door)
    assert (await tried(strict, "Ann", PASSWORD, source="127.0.9.1")).startswith("454 4.7.0")
    assert (await tried(strict, "bob", PASSWORD, source="127.0.9.1")).startswith("235")


async def test_a_clock_that_is_set_back_bars_nobody_for_longer(strict: House) -> None:
    now, lockout = strict.office.clock.now(), strict.office.settings.value.login_lockout
    for bar in (Bar("name", "ann", now + timedelta(days=1)), Bar("name", "bob", now + lockout)):
        write_with(strict.engine, set_bars, bar)
    await bars.read(strict.door)
    assert strict.door.guard.bars("ann", "192.0.2.1", LOW) == []
    assert strict.door.guard.bars("bob", "192.0.2.1", LOW) == [By.NAME]


def test_a_bar_is_kept_until_the_later_time_and_then_forgotten(engine: Engine) -> None:
    now = datetime.now(UTC)
    ann, bob = Bar("name", "ann", now + timedelta(hours=1)), Bar("name", "bob", now)
    write_with(engine, set_bars, bob)
    write_with(engine, set_bars, replace(ann, until=now + timedelta(minutes=1)))
    write_with(engine, set_bars, ann)
    assert read_with(engine, bars_in_force, now) == [ann]
    assert write_with(engine, purge_bars, now) == 1
    assert write_with(engine, purge_bars, now + timedelta(hours=1)) == 1


# --- what a credential allows ----------------------------------------------------------------


def limit(house: House, **terms: object) -> None:
    author = Author("test", datetime.now(UTC), house.office.new_id)
    change = keyring.NewTerms(author, "ann", "default", lambda _: Terms(**terms))  # type: ignore[arg-type]
    write_with(house.engine, keyring.edit_credential, change)
    house.verifier.forget()


async def test_a_credential_is_good_only_from_its_networks(house: House) -> None:
    limit(house, networks=parse_networks("127.0.3.0/24"))
    assert (await tried(house, "ann", PASSWORD, source="127.0.3.3")).startswith("235")
    assert (await tried(house, "ann", PASSWORD)).startswith("535")  # not by what is remembered, either
    client = await at_the_door(house)
    assert (await log_in_by_scram(client, Login("ann", PASSWORD))).startswith("535")
    await client.close()


async def test_a_credential_that_expired_is_good_no_more(house: House) -> None:
    limit(house, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await tried(house, "ann", PASSWORD)).startswith("535")


async def test_who_came_in_by_a_revoked_credential_is_sent_away(house: House) -> None:
    client = await at_the_door(house)
    assert (await log_in_by_scram(client, Login("ann", PASSWORD))).startswith("235")
    author = Author("test", datetime.now(UTC), house.office.new_id)
    write_with(house.engine, keyring.revoke_credential, Revocation(author, "ann", "default"))
    house.verifier.forget()
    await recheck(house.door)
    assert (await client.reply()).startswith("421 4.7.0")
    await client.close()
    assert (await tried(house, "ann", PASSWORD)).startswith("535")


async def test_of_several_credentials_each_opens(house: House) -> None:
    from relay.accounts import passwords, scram

    author = Author("test", datetime.now(UTC), house.office.new_id)
    hashed = passwords.hash_password("the printer's own")
    keys = scram.sealed_keys("ann", "the printer's own", house.sealer)
    write_with(
        house.engine,
        keyring.add_credential,
        keyring.NewCredential(author, "ann", "printer", hashed, keys),
    )
    for password in (PASSWORD, "the printer's own"):
        assert (await tried(house, "ann", password)).startswith("235")
        client = await at_the_door(house)
        assert (await log_in_by_scram(client, Login("ann", password))).startswith("235")
        await client.close()
    assert (await tried(house, "ann", "neither")).startswith("535")
