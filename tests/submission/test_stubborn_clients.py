"""Clients that say things nobody has a use for, or take nothing: the door neither stumbles nor hoards."""

import asyncio
import os
import socket
from base64 import b64encode
from pathlib import Path

import pytest

from tests.delivery.office import eventually
from tests.kit.converse import SECONDS, Client
from tests.kit.house import House
from tests.kit.records import Records, telling

WRONG = b"AUTH PLAIN " + b64encode(b"\0ann\0wrong") + b"\r\n"


async def shaken_hands(house: House, tmp_path: Path) -> tuple[Client, int, Records]:
    """A client that was greeted on the implicit port, its socket, and what it could say there."""
    secrets = tmp_path / "secrets"
    pipes = await asyncio.open_connection("127.0.0.1", house.ports["submissions"], ssl=telling(secrets))
    client = Client(*pipes)
    assert (await client.reply()).startswith("220")
    return client, client.writer.get_extra_info("socket").fileno(), Records(secrets)


async def flood(fd: int, octets: int) -> None:
    while octets > 0:
        octets -= os.write(fd, bytes(64 * 1024))
        await asyncio.sleep(0)


async def test_half_a_handshake_message_before_our_answer_ends_the_connection(
    house: House, tmp_path: Path
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    client, fd, records = await shaken_hands(house, tmp_path)
    os.write(fd, records.words(b"NOOP\r\n") + records.half_a_key_update())
    assert await client.reply() == ""
    await eventually(lambda: not house.door.sessions)
    assert not faults
    await client.close()


async def test_half_a_handshake_message_does_not_hinder_our_goodbyes_to_others(
    house: House, tmp_path: Path
) -> None:
    client, fd, records = await shaken_hands(house, tmp_path)
    os.write(fd, records.half_a_key_update())
    await asyncio.sleep(0.05)
    for server in house.door.sessions:
        server.time_is_up()
    assert await client.reply() == ""
    await client.close()


async def test_new_keys_that_a_client_asks_for_without_end_are_not_hoarded(
    house: House, tmp_path: Path
) -> None:
    client, fd, records = await shaken_hands(house, tmp_path)
    transport = client.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    for _ in range(500):
        os.write(fd, records.key_update())
    with socket.socket(fileno=os.dup(fd)) as raw:
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(raw, 4096), SECONDS)
    transport.abort()


async def test_what_comes_behind_a_goodbye_is_not_hoarded_while_an_answer_is_waited_for(
    house: House, tmp_path: Path
) -> None:
    house.set("login_failure_delay", "5s")  # far longer than all of this takes
    client, fd, records = await shaken_hands(house, tmp_path)
    (server,) = house.door.sessions
    os.write(fd, records.words(b"EHLO laptop\r\n") + records.words(3 * WRONG))
    for code in ("250", "535", "535"):
        assert (await client.reply()).startswith(code)
    os.write(fd, records.goodbye())
    await asyncio.sleep(0.05)
    assert server.is_busy
    with pytest.raises(BlockingIOError):  # nobody reads it
        await flood(fd, 64 * 1024 * 1024)
    client.writer.transport.abort()
    await eventually(lambda: not house.door.sessions)


async def test_a_client_that_takes_nothing_is_not_heard_though_an_answer_was_waited_for(
    house: House,
) -> None:
    client = await Client.connect(house.ports["clear"])
    assert (await client.reply()).startswith("220")
    assert (await client.ask("EHLO laptop")).startswith("250")
    (server,) = house.door.sessions
    await client.send(WRONG)
    await eventually(lambda: server.is_busy)
    server.pause_writing()  # as the transport says when too much is not taken yet
    assert (await client.reply()).startswith("535")
    await client.send(b"NOOP\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), 0.05)
    server.resume_writing()
    assert (await client.reply()).startswith("250")
    await client.close()
