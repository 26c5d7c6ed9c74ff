"""Accepted sockets on the event loop, in a third of the calls that asyncio's own transports make.

Those are made for every protocol: each connection costs a task, a future and five turns of the loop's
queue before its first byte.  Where a client comes with one message only, that is much of all its work.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from relay import log

_READ = 256 * 1024  # octets taken in at once
_MOST_UNSENT = 64 * 1024  # octets: beyond, the protocol is asked to pause
_FEW_UNSENT = 16 * 1024  # octets: then it may write again
_BACKLOG = 1024
_RETRY_SECONDS = 1.0  # when the system cannot give us another socket

# What accept(2) on Linux says of a connection that came and is gone, and not of us.
_LOST_ON_THE_WAY = {"EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENONET", "ENOPROTOOPT", "EPROTO"}

_NOBODY = asyncio.Protocol()


class Connection(asyncio.Transport):
    """One connection, whose protocol is told what comes and goes in asyncio's manner."""

    __slots__ = (
        "_fd",
        "_has_ended",
        "_is_closing",
        "_is_lost",
        "_is_reading",
        "_loop",
        "_protocol",
        "_protocol_pauses",
        "_socket",
        "_unsent",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, accepted: socket.socket, peer: Any, protocol: asyncio.Protocol
    ) -> None:
        super().__init__({"peername": peer})
        self._loop = loop
        self._socket = accepted
        self._fd = accepted.fileno()
        self._protocol = protocol
        self._protocol_pauses = False
        self._unsent = bytearray()
        self._is_reading = False
        self._has_ended = False  # the other side will say no more
        self._is_closing = False
        self._is_lost = False
        protocol.connection_made(self)
        self.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From here on it is *protocol* that is told."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    # --- in -------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Take in nothing for now."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Take in what comes."""
        if not (self._is_reading or self._has_ended or self._is_closing):
            self._is_reading = True
            self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as fault:
            self._lose(fault)
            return
        try:
            if data:
                self._protocol.data_received(data)
            else:
                self._end_of_input()
        except Exception as fault:
            self._lose(fault)
            raise  # the loop logs it

    def _end_of_input(self) -> None:
        self._has_ended = True
        self.pause_reading()
        if not self._protocol.eof_received():
            self.close()

    # --- out ------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* now as far as the system takes it, and the rest when it does."""
        if self._is_lost:
            return
        if not self._unsent:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as fault:
                self._lose(fault)
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._fd, self._send_more)
        self._unsent += data
        if len(self._unsent) > _MOST_UNSENT and not self._protocol_pauses:
            self._protocol_pauses = True
            self._protocol.pause_writing()

    def _send_more(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as fault:
            self._lose(fault)
            return
        del self._unsent[:sent]
        if self._protocol_pauses and len(self._unsent) <= _FEW_UNSENT:
            self._protocol_pauses = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                self._lose(None)

    # --- the end --------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether it is closed, or will be once all is sent."""
        return self._is_closing

    def close(self) -> None:
        """Take in nothing more, and close once all is sent."""
        self.pause_reading()
        self._is_closing = True
        if not self._unsent:
            self._lose(None)

    def abort(self) -> None:
        """Close at once, whatever is not sent yet."""
        self._lose(None)

    def _lose(self, fault: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self.pause_reading()
        if self._unsent:
            self._unsent.clear()
            self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._end, fault)

    def _end(self, fault: Exception | None) -> None:
        protocol, self._protocol = self._protocol, _NOBODY  # two that know each other are not free at once
        try:
            protocol.connection_lost(fault)
        finally:
            self._socket.close()


class Entrance:
    """A listening socket; *enter* makes the protocol of each connection that comes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, bound: socket.socket, enter: Callable[[], asyncio.Protocol]
    ) -> None:
        self._loop = loop
        self._bound = bound
        self._enter = enter
        self._retry: asyncio.TimerHandle | None = None
        bound.setblocking(False)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        bound.listen(_BACKLOG)
        self._open()

    def close(self) -> None:
        """Let nobody else come."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()

    def _open(self) -> None:
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        """Take one connection: where more wait the loop calls again, and those inside have their turn."""
        try:
            accepted, peer = self._bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process took it, or it is gone
        except OSError as fault:
            if errno.errorcode.get(fault.errno or 0) in _LOST_ON_THE_WAY:
                return
            # Out of descriptors or memory, and the loop would call again at once.
            log.fault("door", fault)
            self._loop.remove_reader(self._bound)
            self._retry = self._loop.call_later(_RETRY_SECONDS, self._open)
            return
        accepted.setblocking(False)
        Connection(self._loop, accepted, peer, self._enter())
