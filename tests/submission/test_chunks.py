"""A message in chunks (BDAT), and the memory that it holds meanwhile."""

import asyncio

import pytest

from tests.kit.converse import Client
from tests.kit.house import House
from tests.submission.test_messages import LETTER, log_in


async def begin(client: Client, chunk: bytes) -> None:
    """Begin a message with *chunk*."""
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>"):
        await client.ask(line)
    await client.send(b"BDAT %d\r\n" % len(chunk) + chunk)
    assert (await client.reply()).startswith("250")


@pytest.mark.parametrize("word", ["RSET", "EHLO laptop", "HELO laptop"])
async def test_who_gives_up_a_message_gives_back_its_memory(house: House, word: str) -> None:
    client = await log_in(house)
    await begin(client, b"x" * 100_000)
    assert house.door.budget.used == 100_000
    assert (await client.ask(word)).startswith("250")
    assert house.door.budget.used == 0
    await client.close()


async def test_little_chunks_take_no_more_memory_than_their_octets(house: House) -> None:
    client = await log_in(house)
    await begin(client, b"")
    for _ in range(50):
        await client.send(b"BDAT 2\r\nxy" * 100)
        for _ in range(100):
            await client.reply()
    (server,) = house.door.sessions
    assert sum(map(len, server.envelope.chunks)) == server.envelope.chunk_octets == 10_000
    assert len(server.envelope.chunks) <= 20, "what a list of more costs beside them no budget knows of"
    await client.close()


async def test_when_memory_is_short_a_chunk_waits(house: House) -> None:
    client, budget = await log_in(house), house.door.budget
    await begin(client, LETTER[:10])
    assert budget.take(budget.limit - 12)
    await client.send(b"BDAT %d LAST\r\n" % len(LETTER[10:]) + LETTER[10:])
    (server,) = house.door.sessions
    while not server.is_busy:  # noqa: ASYNC110  it has no event to tell us
        await asyncio.sleep(0)
    budget.give_back(budget.limit - 12)
    assert (await client.reply()).startswith("250 2.0.0 Queued")
    await client.close()
    assert budget.used == 0


async def test_a_chunk_that_waited_in_vain_is_not_kept_nor_read_as_commands(house: House) -> None:
    house.set("room_timeout", "0s")
    client, budget = await log_in(house), house.door.budget
    await begin(client, LETTER[:10])
    assert budget.take(budget.limit - 12)
    await client.send(b"BDAT 16 LAST\r\nRSET\r\nRSET\r\nQUIT")
    assert (await client.reply()).startswith("452 4.3.1")
    budget.give_back(budget.limit - 12)
    assert budget.used == 0
    await begin(client, LETTER)
    await client.close()
