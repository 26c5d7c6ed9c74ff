"""Old devices that cannot log in, and everybody who would like to be taken for one."""

import socket
from dataclasses import replace
from ipaddress import ip_network

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from relay.accounts import users
from relay.config import Listener, TlsMode, Trusted
from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import write_with
from relay.mail.session import TRUSTED
from relay.submission.recheck import recheck
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House
from tests.kit.scram import Login, log_in

PRINTERS = Trusted(network=ip_network("10.1.2.0/24"), user="ann")
GHOSTS = Trusted(network=ip_network("10.9.0.0/16"), user="nobody")
HERE = ip_network("127.0.0.0/8")


async def open_port(house: House, **keys: object) -> int:
    bound = socket.create_server(("127.0.0.1", 0))
    known = {"tls": TlsMode.STARTTLS, "trusted": (PRINTERS, GHOSTS), "auth_without_tls": True, **keys}
    await house.door.listen(Listener(name="printers", ports=("0",), **known), [bound])
    return int(bound.getsockname()[1])


@pytest.fixture
async def port(house: House) -> int:
    """A port behind a balancer, so that a test can come from anywhere."""
    return await open_port(house, proxy_from=(HERE,))


async def client_from(address: str, port: int) -> Client:
    client = await Client.connect(port)
    header = f"PROXY TCP4 {address} 10.0.0.1 4000 25\r\n" if address else "PROXY UNKNOWN\r\n"
    await client.send(header.encode())
    await client.reply()
    await client.ask("EHLO printer.example.com")
    return client


async def test_a_device_sends_without_a_login_and_its_mail_says_so(house: House, port: int) -> None:
    client = await client_from("10.1.2.9", port)
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.net>"):
        assert (await client.ask(line)).startswith("250")
    await client.ask("DATA")
    await client.send(b"From: ann@example.com\r\n\r\nScan\r\n.\r\n")
    assert (await client.reply()).startswith("250")
    await client.close()
    with house.engine.connect() as tx:
        kept = tx.execute(select(tables.messages)).one()
        content = tx.execute(select(tables.contents.c.content)).scalar_one()
    assert (kept.user_name, kept.credential_id, kept.login) == ("ann", None, TRUSTED)
    assert b"with ESMTP id" in bytes(content) or b"with ESMTP\r\n" in bytes(content)  # not ESMTPA


async def test_the_users_grants_hold(port: int) -> None:
    client = await client_from("10.1.2.9", port)
    assert (await client.ask("MAIL FROM:<eve@example.org>")).startswith("550 5.7.1")
    await client.close()


@pytest.mark.parametrize("address", ["10.1.3.1", "192.0.2.7", "127.0.0.1", ""])
async def test_from_anywhere_else_a_login_is_needed(port: int, address: str) -> None:
    client = await client_from(address, port)
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530 5.7.0")
    await client.close()


async def test_this_machine_is_never_trusted(house: House) -> None:
    everything = Trusted.model_construct(network=HERE, user="ann")
    client = await Client.connect(await open_port(house, trusted=(everything,)))
    await client.reply()
    await client.ask("EHLO laptop.example.com")
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530")
    await client.close()


async def test_a_user_that_is_not_there_or_not_active_is_nobody(house: House, port: int) -> None:
    client = await client_from("10.9.1.1", port)
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530")
    await client.close()


async def test_where_tls_is_required_it_stays_required(house: House) -> None:
    port = await open_port(house, proxy_from=(HERE,), tls=TlsMode.STARTTLS_REQUIRED)
    client = await client_from("10.1.2.9", port)
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530 5.7.0 Issue STARTTLS")
    await client.close()


async def test_who_can_log_in_may_do_so_also_there(port: int) -> None:
    client = await client_from("10.1.2.9", port)
    await client.ask("MAIL FROM:<ann@example.com>")
    await client.ask("RSET")
    assert (await log_in(client, Login("bob", PASSWORD))).startswith("235")
    assert (await client.ask("MAIL FROM:<anybody@example.org>")).startswith("250")
    await client.close()


async def test_a_device_is_sent_away_with_its_user_and_not_before(house: House, port: int) -> None:
    client = await client_from("10.1.2.9", port)
    await client.ask("MAIL FROM:<ann@example.com>")
    await recheck(house.door)
    assert (await client.ask("RCPT TO:<bob@example.net>")).startswith("250")
    author = Author("test", house.office.clock.now(), house.office.new_id)
    write_with(
        house.engine, users.edit, users.Edit(author, "ann", lambda profile: replace(profile, is_active=False))
    )
    await recheck(house.door)
    assert (await client.reply()).startswith("421")
    await client.close()


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "128.0.0.0/1", "127.0.0.1/32", "::1/128"])
def test_no_configuration_trusts_everybody(network: str) -> None:
    with pytest.raises(ValidationError):
        Trusted(network=ip_network(network), user="ann")
