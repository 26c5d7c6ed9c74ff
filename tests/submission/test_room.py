"""Memory that a message waited for, and whose client is gone meanwhile."""

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
