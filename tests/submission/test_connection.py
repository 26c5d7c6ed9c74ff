"""The door's own transport does what protocols expect of asyncio's."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from relay.submission import connection
from relay.submission.connection import Connection, Entrance
from tests.delivery.office import eventually


class Told(asyncio.Protocol):
    """What a connection told its protocol."""

    def __init__(self) -> None:
        self.heard = b""
        self.said: list[str] = []
        self.stays_open = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.made: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Connection)
        self.made.set_result(transport)

    def data_received(self, data: bytes) -> None:
        if data == b"fault":
            raise ValueError("a fault of the protocol's")
        self.heard += data

    def eof_received(self) -> bool:
        self.said.append("end")
        return self.stays_open

    def pause_writing(self) -> None:
        self.said.append("pause")

    def resume_writing(self) -> None:
        self.said.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


class Room:
    """An entrance, whoever came, and the client of the last."""

    def __init__(self) -> None:
        self.inside: list[Told] = []
        bound = socket.create_server(("127.0.0.1", 0))
        self.place = bound.getsockname()
        self.entrance = Entrance(asyncio.get_running_loop(), bound, self._enter)

    def _enter(self) -> Told:
        self.inside.append(Told())
        return self.inside[-1]

    async def visit(self) -> tuple[socket.socket, Told, Connection]:
        client = socket.socket()
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, self.place)
        await eventually(lambda: bool(self.inside))
        told = self.inside[-1]
        return client, told, await told.made


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    yield room
    room.entrance.close()
    for told in room.inside:
        (await told.made).abort()
        await told.lost


async def all_of(client: socket.socket) -> bytes:
    loop, heard = asyncio.get_running_loop(), b""
    while more := await loop.sock_recv(client, 1 << 20):
        heard += more
    return heard


async def test_what_comes_is_told_until_the_client_has_said_all(room: Room) -> None:
    client, told, made = await room.visit()
    client.send(b"hello")
    await eventually(lambda: told.heard == b"hello")
    assert made.get_extra_info("peername") == client.getsockname()
    made.pause_reading()
    client.send(b", again")
    await asyncio.sleep(0.02)
    assert told.heard == b"hello"
    made.resume_reading()
    await eventually(lambda: told.heard == b"hello, again")
    client.close()
    assert await told.lost is None
    assert told.said == ["end"]


async def test_who_closed_its_direction_still_hears_what_is_said(room: Room) -> None:
    client, told, made = await room.visit()
    told.stays_open = True
    client.shutdown(socket.SHUT_WR)
    await eventually(lambda: told.said == ["end"])
    made.resume_reading()  # as after any answer: there is nothing to read any more
    await asyncio.sleep(0.02)
    assert told.said == ["end"]
    made.write(b"yes")
    made.close()
    assert await all_of(client) == b"yes"
    client.close()


async def test_a_slow_reader_gets_all_of_it_before_the_connection_closes(room: Room) -> None:
    client, told, made = await room.visit()
    whole = bytes(range(256)) * 64 * 1024
    made.write(whole)
    made.write(b"the end")
    assert told.said == ["pause"]
    made.close()
    assert made.is_closing()
    assert not told.lost.done()
    assert await all_of(client) == whole + b"the end"
    assert await told.lost is None
    assert told.said == ["pause", "resume"]
    client.close()


async def test_an_aborted_connection_keeps_nobody_waiting(room: Room) -> None:
    client, told, made = await room.visit()
    made.write(bytes(16 * 1024 * 1024))
    made.abort()
    assert await told.lost is None
    made.write(b"nobody hears this")
    with suppress(ConnectionResetError):
        assert len(await all_of(client)) < 16 * 1024 * 1024
    client.close()


async def test_a_client_that_is_cut_off_is_told_of_once(room: Room) -> None:
    client, told, made = await room.visit()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert isinstance(await told.lost, ConnectionResetError)
    made.close()


async def test_a_fault_of_the_protocol_ends_its_connection_and_is_told_to_the_loop(room: Room) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    client, told, _made = await room.visit()
    client.send(b"fault")
    assert isinstance(await told.lost, ValueError)
    assert len(faults) == 1
    client.close()


class Refusing(socket.socket):
    """A socket at which the system says *why* not at first."""

    refused = 0

    def __init__(self, why: int) -> None:
        super().__init__()
        self._why = why
        self.bind(("127.0.0.1", 0))

    def accept(self) -> tuple[socket.socket, Any]:
        if not self.refused:
            self.refused += 1
            raise OSError(self._why, "said the system")
        return super().accept()


async def test_an_entrance_out_of_sockets_opens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_RETRY_SECONDS", 0.02)
    with Refusing(errno.EMFILE) as bound:
        await somebody_comes_in(bound)


async def test_a_connection_lost_on_its_way_keeps_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_RETRY_SECONDS", 3600.0)
    with Refusing(errno.EHOSTUNREACH) as bound:
        await somebody_comes_in(bound)


async def somebody_comes_in(bound: Refusing) -> None:
    inside: list[Told] = []

    def enter() -> Told:
        inside.append(Told())
        return inside[-1]

    entrance = Entrance(asyncio.get_running_loop(), bound, enter)
    with socket.create_connection(bound.getsockname()):
        await eventually(lambda: bool(inside))
        assert bound.refused == 1
        entrance.close()
    await inside[0].lost
