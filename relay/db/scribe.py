"""The scribe: a process of its own that commits what a relay process writes.

A thread would have to win the interpreter back from the loop after each statement, and the loop after
each octet sent: under load half of the processor's time went into that struggle.  So the relay process
sends its calls over a socket pair, pickled, and gets the answers in the same order.

The two live and die together.  If the relay process ends, however suddenly, the scribe drops what it
has not begun (nobody was told that it is kept) and ends, too; if the scribe ends, `gone` is set, and
the relay process has to begin anew.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import time
import traceback
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from relay.db.commit import CROWD, GATHER_SECONDS, OCTETS_AT_MOST, Answer, Call, Committer
from relay.db.engine import open_engine
from relay.db.language import Language, cut
from relay.db.writer import resolve

_BUFFER_OCTETS = 2**20


class ScribeGone(ConnectionError):
    """The scribe ended before it answered: the write may be committed or not."""


class Scribe(asyncio.Protocol):
    """The relay process's end; a Writer.  Made by `hire`."""

    def __init__(self, pid: int, language: Language) -> None:
        self.gone = asyncio.Event()
        self._pid = pid
        self._language = language
        self._loop = asyncio.get_running_loop()
        self._calls: list[Call] = []  # of this turn of the loop, and who waits for them
        self._futures: list[asyncio.Future[Any]] = []
        self._sent: deque[list[asyncio.Future[Any]]] = deque()
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def put(self, call: Call, future: asyncio.Future[Any]) -> None:
        """See Writer."""
        if not self._calls:
            self._loop.call_soon(self._send)
        self._calls.append(call)
        self._futures.append(future)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._received += data
        for frame in cut(self._received):
            for future, answer in zip(self._sent.popleft(), self._language.read(frame), strict=True):
                resolve(future, answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  any end is an end
        """See asyncio."""
        self.gone.set()
        for futures in (*self._sent, self._futures):
            _tell_that_it_is_gone(futures)

    async def close(self) -> None:
        """See Writer."""
        waiting = [future for futures in (*self._sent, self._futures) for future in futures]
        if waiting:
            await asyncio.wait(waiting)
        self._transport.close()
        await self.gone.wait()
        with suppress(ChildProcessError):
            await self._loop.run_in_executor(None, os.waitpid, self._pid, 0)

    def _send(self) -> None:
        calls, self._calls = self._calls, []
        futures, self._futures = self._futures, []
        self._send_together(calls, futures)

    def _send_together(self, calls: list[Call], futures: list[asyncio.Future[Any]]) -> None:
        if self.gone.is_set():
            _tell_that_it_is_gone(futures)
            return
        try:
            frame = self._language.framed(calls)
        except Exception as fault:  # noqa: BLE001  what cannot be pickled says so in many ways
            if len(calls) == 1:
                resolve(futures[0], Answer(fault=fault))
                return
            for call, future in zip(calls, futures, strict=True):
                self._send_together([call], [future])
        else:
            self._transport.write(frame)
            self._sent.append(futures)


def _tell_that_it_is_gone(futures: Sequence[asyncio.Future[Any]]) -> None:
    for future in futures:
        resolve(future, Answer(fault=ScribeGone("the writing process ended")))


async def hire(url: str, words: Iterable[Any] = ()) -> Scribe:
    """Fork a scribe for the database *url*.  To be called while this process has one thread.

    *words* are classes, enums and functions that many calls speak of: see `Language`.
    """
    language = Language([Call, Answer, *words])
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _BUFFER_OCTETS)
    pid = os.fork()
    if pid == 0:
        _be_scribe(url, theirs.detach(), language)
    theirs.close()
    _, scribe = await asyncio.get_running_loop().create_connection(lambda: Scribe(pid, language), sock=ours)
    return scribe


# The process --------------------------------------------------------------------------------------


def _be_scribe(url: str, channel: int, language: Language) -> None:
    """Be the child, holding nothing of its parent's but *channel*, and never return to its code."""
    code = os.EX_SOFTWARE
    try:
        # It ends when the relay process does: that one knows what is still to be written.
        for meant_for_parent in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(meant_for_parent, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.closerange(3, channel)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        _serve(Committer(open_engine(url)), socket.socket(fileno=channel), language)
        code = os.EX_OK
    except BaseException:  # noqa: BLE001  whatever it is, the relay process sees the end of the channel
        traceback.print_exc()
    os._exit(code)


def _serve(committer: Committer, channel: socket.socket, language: Language) -> None:
    inbox = _Inbox(channel)
    while frames := inbox.take():
        groups: list[list[Call]] = [language.read(frame) for frame in frames]
        calls = [call for group in groups for call in group]
        answers = iter([_portable(answer) for answer in committer.commit(calls)])
        try:
            channel.sendall(b"".join([language.framed([next(answers) for _ in group]) for group in groups]))
        except OSError:  # nobody is there to be told
            break
        if len(calls) >= CROWD:
            time.sleep(GATHER_SECONDS)
        del frames, groups, calls, answers  # or large letters would stay until the next ones come
    committer.hang_up()


class _Inbox:
    """The frames that arrive at the scribe."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._arrived = bytearray()
        self._is_over = False

    def take(self) -> list[bytes]:
        """Wait for a frame, and return it with all others that are there; none if the other end is gone."""
        frames: list[bytes] = []
        while not frames and not self._is_over:
            self._receive(0)
            while len(self._arrived) < OCTETS_AT_MOST and self._receive(socket.MSG_DONTWAIT):
                pass
            frames = cut(self._arrived)
        return [] if self._is_over else frames

    def _receive(self, flags: int) -> bool:
        try:
            data = self._channel.recv(_BUFFER_OCTETS, flags)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        self._arrived += data
        self._is_over = not data
        return bool(data)


def _portable(answer: Answer) -> Answer:
    """The same, if need be with its fault in words: not every exception survives being pickled."""
    if answer.fault is None:
        return answer
    try:
        pickle.loads(pickle.dumps(answer.fault))  # noqa: S301  ours
    except Exception:  # noqa: BLE001  an exception's own code, whosever it is
        return Answer(fault=RuntimeError("".join(traceback.format_exception(answer.fault))))
    return answer
