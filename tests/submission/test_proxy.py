"""What a balancer says in front of its client's octets, and that nobody else can say it."""

import asyncio
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.submission.proxy import (
    MAX_LINE_OCTETS,
    MAX_OCTETS,
    BadProxyHeader,
    Client,
    ProxyHeader,
    plain_address,
    read_header,
)
from tests.delivery.office import eventually
from tests.kit.converse import SECONDS, anybody
from tests.kit.converse import Client as Talker
from tests.kit.house import House

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = st.integers(0, 65535)


def line(source: IPv4Address | IPv6Address, port: int) -> bytes:
    family = "TCP4" if source.version == 4 else "TCP6"
    return f"PROXY {family} {source} {source} {port} 25\r\n".encode()


def binary(source: IPv4Address | IPv6Address, port: int, tlvs: bytes = b"", *, command: int = 0x21) -> bytes:
    kind = 0x11 if source.version == 4 else 0x21
    block = source.packed * 2 + struct.pack("!HH", port, 25) + tlvs
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block)) + block


def local(block: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20, 0, len(block)) + block


def read_piecemeal(octets: bytes) -> ProxyHeader | None:
    """Hand over one octet more at a time; returns what came of it."""
    for length in range(1, len(octets) + 1):
        if (found := read_header(octets[:length])) is not None:
            return found
    return None


ADDRESSES = st.ip_addresses()
HEADERS = st.one_of(
    st.builds(line, ADDRESSES, PORTS), st.builds(binary, ADDRESSES, PORTS, st.binary(max_size=400))
)


@given(ADDRESSES, PORTS, st.binary(max_size=400), st.binary(max_size=40))
def test_both_versions_say_the_same(
    source: IPv4Address | IPv6Address, port: int, tlvs: bytes, rest: bytes
) -> None:
    for octets in (line(source, port), binary(source, port, tlvs)):
        wanted = ProxyHeader(len(octets), Client(plain_address(str(source)), port))
        assert read_header(octets + rest) == wanted


@given(HEADERS)
def test_a_header_is_known_at_its_last_octet_and_not_before(octets: bytes) -> None:
    found = read_piecemeal(octets)
    assert found is not None
    assert found.length == len(octets)


@given(st.one_of(st.binary(max_size=600), st.builds(bytes.__add__, st.just(SIGNATURE), st.binary())))
def test_whatever_comes_it_is_read_or_refused_and_waited_for_no_longer_than_the_limit(octets: bytes) -> None:
    try:
        found = read_header(octets)
    except BadProxyHeader:
        return
    assert found is not None or len(octets) < MAX_OCTETS
    if found is not None:
        assert found.length <= len(octets)
        assert found.client is None or str(ip_address(found.client.address)) == found.client.address


@given(HEADERS, st.integers(0, 600), st.integers(0, 255))
def test_a_header_with_one_octet_changed_never_reads_beyond_what_came(
    octets: bytes, place: int, octet: int
) -> None:
    changed = bytearray(octets)
    changed[place % len(changed)] = octet
    try:
        found = read_header(bytes(changed))
    except BadProxyHeader:
        return
    assert found is None or found.length <= len(changed)


def test_a_balancer_may_speak_for_itself_or_for_a_client_without_address() -> None:
    unix = SIGNATURE + struct.pack("!BBH", 0x21, 0x31, 216) + bytes(216)
    unspecified = SIGNATURE + struct.pack("!BBH", 0x21, 0, 7) + bytes(7)
    for octets in (local(), local(b"whatever"), unix, unspecified, b"PROXY UNKNOWN\r\n"):
        assert read_header(octets) == ProxyHeader(len(octets), None)
    assert read_header(b"PROXY UNKNOWN ffff:f ::1 1 2\r\n") == ProxyHeader(30, None)


def test_an_ipv4_client_in_ipv6_clothes_is_an_ipv4_client() -> None:
    found = read_header(binary(IPv6Address("::ffff:192.0.2.7"), 1))
    assert found is not None
    assert found.client == Client("192.0.2.7", 1)


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO laptop\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY " + b"x" * MAX_LINE_OCTETS,
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x41\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x13\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\0\x23" + bytes(35),
        SIGNATURE + b"\x21\x31\0\xd7" + bytes(215),
        SIGNATURE + b"\x21\x11\x02\x09",
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_not_wholly_understood_is_refused(octets: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        read_header(octets)


# --- at the socket ---------------------------------------------------------------------------

CLIENT = IPv4Address("203.0.113.9")


def seen(house: House) -> tuple[str, int]:
    (server,) = house.door.sessions
    return server.session.facts.peer_address, server.session.facts.peer_port


@pytest.mark.parametrize("header", [line(CLIENT, 4711), binary(CLIENT, 4711, b"\x04\0\x02hi")])
async def test_the_client_behind_the_balancer_is_who_is_there(house: House, header: bytes) -> None:
    talker = await Talker.connect(house.ports["balanced"])
    await talker.send(header)
    assert (await talker.reply()).startswith("220")
    assert seen(house) == ("203.0.113.9", 4711)
    assert (await talker.ask("EHLO laptop")).startswith("250")
    await talker.close()


async def test_every_split_of_header_and_first_commands_says_the_same(house: House) -> None:
    said = binary(CLIENT, 1) + b"EHLO a\r\nNOOP\r\n"
    for cut in range(1, len(said), 3):
        talker = await Talker.connect(house.ports["balanced"])
        for start, end in pairwise([0, cut, len(said)]):
            await talker.send(said[start:end])
            await asyncio.sleep(0.002)
        answers = [(await talker.reply())[:3] for _ in range(3)]
        assert answers == ["220", "250", "250"], cut
        await talker.close()


async def test_tls_from_the_first_byte_comes_behind_the_header(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.ports["balanced-tls"])
    writer.write(binary(IPv6Address("2001:db8::7"), 2))
    await writer.start_tls(anybody())
    assert (await asyncio.wait_for(reader.readline(), SECONDS)).startswith(b"220")
    assert seen(house) == ("2001:db8::7", 2)
    writer.close()
    await writer.wait_closed()


async def test_starttls_goes_on_as_ever(house: House) -> None:
    talker = await Talker.connect(house.ports["balanced"])
    await talker.send(line(CLIENT, 1))
    await talker.reply()
    await talker.ask("EHLO laptop")
    assert (await talker.ask("STARTTLS")).startswith("220")
    await talker.start_tls()
    assert (await talker.ask("EHLO laptop")).startswith("250")
    assert seen(house)[0] == "203.0.113.9"
    await talker.close()


async def test_a_balancer_that_looks_whether_we_live_is_greeted_as_itself(house: House) -> None:
    talker = await Talker.connect(house.ports["balanced"])
    await talker.send(local())
    assert (await talker.reply()).startswith("220")
    assert seen(house)[0] == "127.0.0.1"
    await talker.close()


async def test_the_clients_behind_a_balancer_are_counted_apart(house: House) -> None:
    house.set("max_connections_per_address", "1")
    talkers, answers = [], []
    for address in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
        talker = await Talker.connect(house.ports["balanced"])
        await talker.send(line(IPv4Address(address), 1))
        talkers.append(talker)
        answers.append((await talker.reply())[:3])
    assert answers == ["220", "220", "421"]
    for talker in talkers:
        await talker.close()


async def hears(port: int, octets: bytes) -> bytes:
    """All that comes back before the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    try:
        return await asyncio.wait_for(reader.read(), SECONDS)
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_what_is_no_header_is_cut_off_without_a_word(house: House) -> None:
    for octets in (b"EHLO laptop\r\n", b"\x16\x03\x01\x02", b"PROXY TCP4 x y 1 2\r\n", b"\r\n\r\n\0\r\nQUIX"):
        assert await hears(house.ports["balanced"], octets) == b""
        assert await hears(house.ports["balanced-tls"], octets) == b""
    assert not house.door.sessions


async def test_who_is_no_balancer_is_cut_off_whatever_it_says(house: House) -> None:
    for octets in (b"", line(CLIENT, 1), binary(CLIENT, 1), local(), b"EHLO laptop\r\n"):
        assert await hears(house.ports["others"], octets) == b""


async def test_a_header_on_any_other_port_is_no_command(house: House) -> None:
    talker = await Talker.connect(house.ports["plain"])
    assert (await talker.reply()).startswith("220")
    await talker.send(line(CLIENT, 1))
    assert (await talker.reply()).startswith("500")
    assert seen(house)[0] == "127.0.0.1"
    await talker.close()


async def test_a_header_that_does_not_come_is_not_waited_for(house: House) -> None:
    house.set("handshake_timeout", "1s")
    assert await hears(house.ports["balanced"], b"PROXY TCP4 ") == b""


async def test_only_one_header_is_read(house: House) -> None:
    talker = await Talker.connect(house.ports["balanced"])
    await talker.send(line(CLIENT, 1) + line(IPv4Address("192.0.2.66"), 1))
    assert (await talker.reply()).startswith("220")
    assert (await talker.reply()).startswith("500")
    assert seen(house)[0] == "203.0.113.9"
    await talker.close()


# --- who waits for a header counts -----------------------------------------------------------


async def waiting(house: House, count: int) -> list[Talker]:
    talkers = [await Talker.connect(house.ports["balanced"]) for _ in range(count)]
    await eventually(lambda: len(house.door._waiting) == count)
    return talkers


async def test_connections_that_wait_for_their_header_count_among_all(house: House) -> None:
    house.set("max_connections", "3")
    talkers = await waiting(house, 3)
    beyond = await Talker.connect(house.ports["balanced"])
    with suppress(ConnectionResetError):
        assert await beyond.reply() == ""
    client = await Talker.connect(house.ports["plain"])
    assert (await client.reply()).startswith("421 4.7.0 Too many connections")
    await client.close()
    await talkers[0].send(line(CLIENT, 1))  # who says who it is takes its own place
    assert (await talkers[0].reply()).startswith("220")
    for talker in (*talkers, beyond):
        await talker.close()
    await eventually(lambda: not house.door._waiting)
    again = await Talker.connect(house.ports["plain"])
    assert (await again.reply()).startswith("220")
    await again.close()


async def test_waiting_they_do_not_count_for_the_balancers_address(house: House) -> None:
    house.set("max_connections_per_address", "2")
    talkers = await waiting(house, 5)
    for number, talker in enumerate(talkers):
        await talker.send(line(CLIENT + number, 1))
        assert (await talker.reply()).startswith("220")
        await talker.close()


async def test_a_stop_does_not_wait_for_them(house: House) -> None:
    (talker,) = await waiting(house, 1)
    await house.door.close(grace=5)
    with suppress(ConnectionResetError):
        assert await talker.reply() == ""
    assert not house.door._waiting
    await talker.close()
