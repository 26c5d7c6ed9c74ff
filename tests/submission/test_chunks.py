"""A message in chunks (BDAT), and the memory that it holds meanwhile."""

import pytest

from tests.kit.converse import Client
from tests.kit.house import House
from tests.submission.test_messages import log_in


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
