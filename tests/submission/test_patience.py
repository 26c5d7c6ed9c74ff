"""How much of one session is borne: each limit from its setting, and an honest client never meets one."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.lines import has_longer
from relay.settings import Settings
from relay.submission import replies
from relay.submission.patience import Tally, patience_of
from tests.delivery.office import eventually
from tests.kit.converse import Client
from tests.kit.house import LISTENERS, PASSWORD, House

USUAL = patience_of(Settings())
LETTER = b"From: ann@example.com\r\n\r\nHello\r\n.\r\n"


# --- time, as numbers --------------------------------------------------------------------------


def test_before_a_login_nothing_that_is_said_brings_more_time() -> None:
    tally = Tally(USUAL, 1000.0)
    assert tally.next_command_by(1000.0, is_logged_in=False) == 1000 + USUAL.login
    assert tally.next_command_by(1100.0, is_logged_in=False) == 1000 + USUAL.login


def test_after_it_each_command_does_until_the_session_has_lasted_long() -> None:
    tally = Tally(USUAL, 0.0)
    assert tally.next_command_by(1000.0, is_logged_in=True) == 1000 + USUAL.idle
    assert tally.next_command_by(USUAL.session - 1, is_logged_in=True) == USUAL.session
    assert tally.why_time_is_up(USUAL.session - 1) is replies.IDLE_TOO_LONG
    assert tally.why_time_is_up(USUAL.session) is replies.LASTED_LONG


def arrives(octets_per_second: float, seconds: int, *, patience: int = 100) -> int:
    """How many seconds a message that comes so fast is received, of *seconds*."""
    tally = Tally(replace(USUAL, octets_per_second=patience), 0.0)
    tally.content_begins(0.0)
    deadline = 0.0 + USUAL.idle
    for now in range(seconds):
        if now > deadline:
            return now
        deadline = tally.next_octet_by(now, int(octets_per_second * now))
    return seconds


def test_who_drips_is_cut_off_and_who_is_only_slow_is_not() -> None:
    assert arrives(1, 100_000) < USUAL.idle + 5
    assert arrives(101, 100_000) == 100_000
    assert arrives(1, 100_000, patience=0) == 100_000


def test_a_fast_beginning_does_not_buy_an_endless_pause() -> None:
    tally = Tally(USUAL, 0.0)
    tally.content_begins(0.0)
    assert tally.next_octet_by(1.0, 20_000_000) == 1 + USUAL.idle


# --- at the socket ------------------------------------------------------------------------------


@pytest.fixture
async def ann(house: House) -> AsyncIterator[Client]:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop")
    proof = b64encode(f"\0ann\0{PASSWORD}".encode()).decode()
    assert (await client.ask(f"AUTH PLAIN {proof}")).startswith("235")
    yield client
    await client.close()


async def again(house: House) -> Client:
    """Another session, for settings hold for sessions that begin after they were made."""
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop")
    proof = b64encode(f"\0ann\0{PASSWORD}".encode()).decode()
    await client.ask(f"AUTH PLAIN {proof}")
    return client


async def send(client: Client, letter: bytes = LETTER) -> str:
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"):
        if (answer := await client.ask(line))[0] not in "23":
            return answer
    await client.send(letter)
    return await client.reply()


async def test_so_many_messages_and_then_another_session(house: House) -> None:
    house.set("max_messages_per_session", "2")
    client = await again(house)
    assert [(await send(client))[:3] for _ in range(3)] == ["250", "250", "421"]
    assert await client.reply() == ""
    await client.close()


async def test_so_many_commands_and_then_another_session(house: House) -> None:
    house.set("max_commands_per_session", "100")
    house.set("max_fruitless_commands", "1000")
    client = await again(house)
    await client.send(b"NOOP\r\n" * 200)
    answers = [(await client.reply())[:3] for _ in range(99)]
    assert answers == ["250"] * 98 + ["421"]
    assert await client.reply() == ""
    await client.close()


async def test_fruitless_commands_become_errors_and_a_message_makes_up_for_them(house: House) -> None:
    house.set("max_fruitless_commands", "10")
    house.set("max_errors", "2")
    client = await again(house)
    for _ in range(3):
        for _ in range(9):
            assert (await client.ask("RSET")).startswith("250")
        assert (await send(client)).startswith("250")
    said = [(await client.ask("NOOP"))[:3] for _ in range(12)]
    assert said == ["250"] * 12
    assert (await client.reply()).startswith("421 4.7.0 Too many errors, or commands without a message")
    await client.close()


async def test_errors_are_borne_as_often_as_the_setting_says(house: House) -> None:
    house.set("max_errors", "3")
    client = await again(house)
    assert [(await client.ask("X"))[:3] for _ in range(3)] == ["500"] * 3
    assert (await client.reply()).startswith("421 4.7.0 Too many errors")
    await client.close()


async def sweep_once(house: House) -> None:
    for server in house.door.sessions:
        server.time_is_up()
    await asyncio.sleep(0)


async def test_a_handshake_that_never_ends_is_cut_off(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.ports["submissions"])
    writer.write(b"\x16\x03\x01")
    await eventually(lambda: bool(house.door.sessions))
    (server,) = house.door.sessions
    assert server.deadline <= house.door.loop.time() + USUAL.handshake
    await sweep_once(house)
    with suppress(ConnectionError):  # what it sent may still have been on its way
        assert await reader.read() == b""
    writer.close()


async def test_who_has_logged_in_has_the_time_of_a_session_that_rests(house: House, ann: Client) -> None:
    (server,) = house.door.sessions
    rests_until = house.door.loop.time() + USUAL.idle
    assert rests_until - 5 <= server.deadline <= rests_until
    assert (await ann.ask("NOOP")).startswith("250")


async def test_a_chunk_before_a_login_brings_no_more_time(house: House) -> None:
    stranger = await Client.connect(house.ports["clear"])
    await stranger.reply()
    (server,) = house.door.sessions
    until = server.deadline
    await stranger.send(b"BDAT 999999999999\r\n" + b"x" * 1000)
    await eventually(lambda: server.is_busy)
    assert server.deadline == until
    await sweep_once(house)
    assert (await stranger.reply()).startswith("421 4.4.2")
    await stranger.close()


async def test_a_message_that_drips_is_cut_off_with_a_word(house: House, ann: Client) -> None:
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"):
        await ann.ask(line)
    (server,) = house.door.sessions
    began = house.door.loop.time()
    for octet in b"From: a":
        await ann.send(bytes([octet]))
        await asyncio.sleep(0.005)
    assert server.deadline <= began + USUAL.idle + 1, "seven octets bring no more than seven hundredths"
    await sweep_once(house)
    assert (await ann.reply()).startswith("421 4.4.2")
    assert await ann.reply() == ""
    assert house.door.budget.used == 0


async def test_who_never_reads_our_replies_is_cut_off(house: House) -> None:
    house.set("max_commands_per_session", "10M")
    house.set("max_fruitless_commands", "10M")
    quiet = socket.create_connection(("127.0.0.1", house.ports["plain"]))
    quiet.setblocking(False)
    sent = 0
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                await loop.sock_sendall(quiet, b"EHLO laptop.example.com\r\n" * 1000)
                sent += 1000
    assert sent < 5_000_000, "at some point we read no more"
    await sweep_once(house)  # says 421, which cannot leave
    assert len(house.door.sessions) == 1
    await sweep_once(house)  # cuts it off
    await asyncio.sleep(0.01)
    assert not house.door.sessions
    quiet.close()


async def test_too_long_a_line_or_header_is_refused_and_the_session_goes_on(
    house: House, ann: Client
) -> None:
    house.set("max_line_bytes", "998")
    house.set("max_header_bytes", "8K")
    head = b"From: ann@example.com\r\n"
    assert (await send(ann, head + b"\r\n" + b"x" * 998 + b"\r\n.\r\n")).startswith("250")
    said = await send(ann, head + b"\r\n" + b"x" * 999 + b"\r\n.\r\n")
    assert said == "554 5.6.0 A line of the message is longer than 998 octets"
    long = head + b"X-Long: x\r\n" * 1000
    assert (await send(ann, long + b"\r\nx\r\n.\r\n")).startswith(
        "554 5.6.0 Bad message header: the header is"
    )
    assert (await send(ann)).startswith("250")


@given(st.lists(st.integers(0, 30), max_size=8), st.booleans(), st.integers(1, 25))
def test_the_longest_line_is_found(lengths: list[int], ends: bool, most: int) -> None:
    content = b"\r\n".join(b"x" * length for length in lengths) + b"\r\n" * ends
    assert has_longer(content, most) == any(length > most for length in lengths)


def test_every_limit_is_a_setting_and_long_enough_for_honest_clients() -> None:
    assert USUAL.idle >= timedelta(minutes=5).total_seconds(), "RFC 5321 §4.5.3.2.7"
    assert patience_of(replace(Settings(), max_errors=7)).errors == 7


async def test_one_client_is_counted_once_however_its_address_is_written(house: House) -> None:
    house.set("max_connections_per_address", "1")
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    await house.door.listen(LISTENERS["plain"], [both])
    first = await Client.connect(both.getsockname()[1])  # comes as ::ffff:127.0.0.1
    assert (await first.reply()).startswith("220")
    assert [server.session.facts.peer_address for server in house.door.sessions] == ["127.0.0.1"]
    second = await Client.connect(house.ports["plain"])
    assert (await second.reply()).startswith("421")
    await first.close()
    await second.close()
