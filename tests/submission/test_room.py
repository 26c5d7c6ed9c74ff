"""Memory for messages: who is gone takes none along, and what is not kept takes none."""

import asyncio
import socket

import pytest

from relay.submission.room import LOOK_SECONDS
from tests.delivery.office import eventually
from tests.kit.converse import Client
from tests.kit.house import House
from tests.submission.test_messages import log_in


def break_off(client: Client) -> None:
    """End the connection with RST, as one that a firewall or a crash has cut."""
    own: socket.socket = client.writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.writer.transport.abort()


@pytest.mark.parametrize("line", ["DATA", "BDAT 70000"])
async def test_who_breaks_off_while_it_waits_for_memory_takes_none_along(house: House, line: str) -> None:
    client, budget = await log_in(house), house.door.budget
    for before in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>"):
        await client.ask(before)
    assert budget.take(budget.limit - 1000)
    await client.send(f"{line}\r\n".encode())
    (server,) = house.door.sessions
    await eventually(lambda: server.is_busy)
    break_off(client)
    await eventually(lambda: not house.door.sessions)
    budget.give_back(budget.limit - 1000)
    await asyncio.sleep(2 * LOOK_SECONDS)
    assert budget.used == 0


async def all_taken_in(house: House, client: Client, octets: bytes) -> None:
    """Send *octets* of a message that goes on, and wait until the door has looked at them."""
    (server,) = house.door.sessions
    await client.send(octets)
    await eventually(lambda: server._framer.size >= len(octets))


async def test_a_stranger_takes_no_memory_however_much_it_sends(house: House) -> None:
    stranger = await Client.connect(house.ports["clear"])
    await stranger.reply()
    await stranger.send(b"BDAT 999999999999\r\n")
    await all_taken_in(house, stranger, b"x" * 2_000_000)
    assert house.door.budget.used == 0
    await stranger.close()


async def test_a_message_that_is_too_large_takes_no_more_memory_than_one_that_is_not(house: House) -> None:
    house.set("max_message_bytes", "64K")
    client = await log_in(house)
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"):
        await client.ask(line)
    await all_taken_in(house, client, b"x" * 2_000_000)
    assert house.door.budget.used <= 64 * 1024 * 4 // 3
    await client.send(b"\r\n.\r\n")
    assert (await client.reply()).startswith("552 5.3.4")
    await client.close()
    assert house.door.budget.used == 0
