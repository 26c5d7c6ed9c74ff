"""What becomes of those who are inside when the accounts change."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from relay.accounts import credentials, users
from relay.accounts.profile import Profile
from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import write_with
from relay.mail.address import Address
from relay.policy.decision import Mismatch
from relay.submission.recheck import recheck
from tests.delivery.office import eventually
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House


def edit(house: House, name: str, change: Callable[[Profile], Profile]) -> None:
    author = Author("test", house.office.clock.now(), house.office.new_id)
    write_with(house.engine, users.edit, users.Edit(author, name, change))


async def log_in(house: House, name: str) -> Client:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop.example.com")
    proof = b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
    assert (await client.ask(f"AUTH PLAIN {proof}")).startswith("235")
    return client


async def test_who_is_switched_off_is_sent_away_and_nobody_else(house: House) -> None:
    ann, bob = await log_in(house, "ann"), await log_in(house, "bob")
    edit(house, "ann", lambda profile: replace(profile, is_active=False))
    await recheck(house.door)
    assert (await ann.reply()).startswith("421 4.7.0")
    assert await ann.reply() == ""
    assert (await bob.ask("NOOP")).startswith("250")
    await ann.close()
    await bob.close()


async def test_who_is_deleted_is_sent_away(house: House) -> None:
    ann = await log_in(house, "ann")
    author = Author("test", house.office.clock.now(), house.office.new_id)
    write_with(house.engine, users.remove, users.Deletion(author, "ann"))
    await recheck(house.door)
    assert (await ann.reply()).startswith("421 4.7.0")
    await ann.close()


async def test_new_grants_hold_for_those_inside(house: House) -> None:
    ann = await log_in(house, "ann")
    assert (await ann.ask("MAIL FROM:<ann@example.net>")).startswith("550")
    edit(house, "ann", lambda profile: replace(profile, patterns=("example.net",)))
    await recheck(house.door)
    assert (await ann.ask("MAIL FROM:<ann@example.com>")).startswith("550")
    assert (await ann.ask("MAIL FROM:<ann@example.net>")).startswith("250")
    await ann.close()


@pytest.mark.parametrize("mismatch", list(Mismatch))
async def test_a_message_that_arrives_meanwhile_is_not_taken_and_is_the_last(
    house: House, mismatch: Mismatch
) -> None:
    own = Address.parse("eve@example.net")
    house.has_user("eve", "eve@example.net", mismatch=mismatch, default_sender=own)
    eve = await log_in(house, "eve")
    for line in ("MAIL FROM:<eve@example.net>", "RCPT TO:<bob@example.org>", "DATA"):
        await eve.ask(line)
    edit(house, "eve", lambda profile: replace(profile, is_active=False))
    await recheck(house.door)
    await eve.send(b"From: eve@example.net\r\n\r\nToo late\r\n.\r\nNOOP\r\n")
    assert (await eve.reply()).startswith("421 4.7.0")
    assert await eve.reply() == ""
    with house.engine.connect() as tx:
        for table in (tables.messages, tables.notices):
            assert tx.execute(select(table)).all() == []
    await eve.close()


async def test_a_chunk_that_arrives_meanwhile_is_the_last(house: House) -> None:
    ann = await log_in(house, "ann")
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>"):
        await ann.ask(line)
    await ann.send(b"BDAT 30\r\nFrom: ann@example.com")
    await eventually(lambda: any(server.is_busy for server in house.door.sessions))
    edit(house, "ann", lambda profile: replace(profile, is_active=False))
    await recheck(house.door)
    await ann.send(b"\r\n\r\nlate\r\n")
    assert (await ann.reply()).startswith("421 4.7.0")
    await ann.close()


async def test_who_has_not_logged_in_is_left_alone(house: House) -> None:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await recheck(house.door)
    assert (await client.ask("NOOP")).startswith("250")
    await client.close()


async def test_who_came_in_by_an_old_password_is_sent_away(house: House) -> None:
    ann, bob = await log_in(house, "ann"), await log_in(house, "bob")
    author = Author("test", house.office.clock.now(), house.office.new_id)
    write_with(house.engine, credentials.set_password, credentials.NewPassword(author, "ann", "another hash"))
    await recheck(house.door)
    assert (await ann.reply()).startswith("421 4.7.0")
    assert (await bob.ask("NOOP")).startswith("250")
    await ann.close()
    await bob.close()
