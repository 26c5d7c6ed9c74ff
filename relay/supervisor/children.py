"""A child process: forked, told what to do, and told apart from a parent that is no more.

Parent and child are joined by a socket pair.  The parent's words are single bytes (`Word`); the
child says READY once, and again whenever it is asked whether it still works.  When the parent dies,
however suddenly, its end closes, and that is as good as STOP: no child outlives its parent by more
than the time to stop in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from relay import log

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 10.0  # seconds before a child that died is started again
_LONG_LIFE = 60.0  # seconds after which a death is no longer counted with those before it


class Word(bytes, Enum):
    """What parent and child say to each other."""

    READY = b"!"
    ARE_YOU_THERE = b"?"
    STOP = b"s"
    RENEW_CERTIFICATE = b"c"
    DRAINING = b"d"  # to the admin process: the node is about to stop
    MAIL_IS_UP = b"u"  # to the admin process: every relay process is ready
    MAIL_IS_DOWN = b"n"


class Orders:
    """The child's end: what to do for each word of the parent."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def ready(self) -> None:
        """Tell the parent that this child is ready for work, or still at it."""
        with suppress(OSError):
            self._channel.send(Word.READY)

    def obey(self, what_to_do: Mapping[Word, Callable[[], None]]) -> None:
        """From now on call what belongs to each word.

        A parent that is gone has said STOP, and so has whoever sends SIGTERM.
        """
        loop = asyncio.get_running_loop()
        stop = what_to_do[Word.STOP]
        known = {Word.ARE_YOU_THERE: self.ready, **what_to_do}

        def heard() -> None:
            said = b""
            with suppress(OSError):
                said = self._channel.recv(64)
            if not said:
                loop.remove_reader(self._channel)
                stop()
            for byte in said:
                known.get(Word(bytes([byte])), _do_nothing)()

        self._channel.setblocking(False)
        loop.add_reader(self._channel, heard)
        loop.add_signal_handler(signal.SIGTERM, stop)


def _do_nothing() -> None:
    """A word that does not concern this child."""


Work = Callable[[Orders], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Child:
    """A place that is always filled: the process that works there now, and when the next may begin."""

    name: str
    work: Work
    unneeded: Iterable[socket.socket]  # what the work has no use for, and so must not hold open
    pid: int | None = None
    is_ready: bool = False
    unanswered: int = 0  # how often it was asked whether it still works since it last said anything
    begin_at: float = 0.0
    channel: socket.socket | None = None
    _begun_at: float = field(default=0.0, init=False)
    _deaths: int = field(default=0, init=False)

    def begin(self, siblings: Iterable[Child]) -> None:
        """Fork the process that does the work; it lets go of what belongs to its *siblings*."""
        ours, theirs = socket.socketpair()
        log.flush()
        self._begun_at, self.is_ready, self.unanswered = time.monotonic(), False, 0
        try:
            self.pid = os.fork()
        except OSError as fault:  # too many processes, or no memory
            log.fault("fork", fault)
            self._rest()
            return
        if self.pid == 0:
            ours.close()
            for other in siblings:
                if other.channel is not None:
                    other.channel.close()
            for unneeded in self.unneeded:
                unneeded.close()
            _work_and_exit(self.work, Orders(theirs))
        theirs.close()
        ours.setblocking(False)
        self.channel = ours

    def say(self, word: Word) -> None:
        """Give the child an order, if it lives."""
        if self.channel is not None:
            with suppress(OSError):
                self.channel.send(word)

    def ask(self) -> None:
        """Ask the child whether its loop still turns; before it was ready it has other things to do."""
        if self.is_ready:
            self.unanswered += 1
            self.say(Word.ARE_YOU_THERE)

    def hear(self) -> None:
        """Take in what the child says: that it is ready; or that it says no more, for it is about to end."""
        said = b""
        if self.channel is not None:
            with suppress(OSError):
                said = self.channel.recv(64)
        if said:
            self.is_ready, self.unanswered = True, 0
        else:
            self._hang_up()

    def reap(self) -> str | None:
        """If the process has ended, say how, and set when the next may begin; None: nothing ended."""
        if self.pid is None:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._rest()
        self.pid, self.is_ready = None, False
        self._hang_up()
        code = os.waitstatus_to_exitcode(status)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _hang_up(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def _rest(self) -> None:
        """Let the next process begin soon if this one had lived long, ever later if it had not."""
        now = time.monotonic()
        if now - self._begun_at > _LONG_LIFE:
            self._deaths = 0
        self.begin_at = now + min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._deaths)
        self._deaths += 1

    def kill(self) -> None:
        """End the process without asking."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _work_and_exit(work: Work, orders: Orders) -> None:
    """Be the child: never return into the parent's code, never run what the parent does at its exit."""
    code = os.EX_OK
    try:
        signal.set_wakeup_fd(-1)
        for meant_for_parent in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all of us
            signal.signal(meant_for_parent, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Never closed: what still runs when the work is over, or has failed, ends with the process.  To wait
        # for it would keep a process alive that does no work, and the parent from beginning anew.
        runner = asyncio.Runner()
        runner.run(work(orders))
    except BaseException as fault:  # noqa: BLE001  whatever it is, the parent begins anew
        log.fault("child", fault)
        code = os.EX_SOFTWARE
    log.flush()
    os._exit(code)
