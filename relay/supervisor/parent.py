"""The parent: keeps every child alive, and passes on what the operator wants.

Single-threaded and without an event loop, because it forks.  It carries no mail, so there is
nothing in it to break.

    SIGTERM, SIGINT   stop in order; once more: at once
    SIGHUP            read the certificate anew; but stop in order if the terminal we talked to was closed
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType

from relay import log
from relay.supervisor.children import Child, Word
from relay.supervisor.sd_notify import sd_notify

_STANDARD_ERROR = 2
_KILL_MARGIN = 5.0  # seconds beyond the grace that a child gets to close what it has open
_QUESTIONS = 6  # that a child leaves unanswered before it is taken for dead


class Parent:
    """Runs `relays` and `admin` until it is told to stop."""

    def __init__(
        self,
        *,
        relays: Sequence[Child],
        admin: Child,
        close_doors: Callable[[], None],
        grace: float,
        patience: float = 60.0,
    ) -> None:
        """*grace*: seconds to stop in; *patience*: how many without a sign of life a child has to live."""
        self._relays = relays
        self._admin = admin
        self._children = (*relays, admin)
        self._close_doors = close_doors
        self._grace = grace
        self._question_every = patience / _QUESTIONS
        self._ask_at = 0.0
        self._deadline: float | None = None  # when what still lives is killed; None: nobody stops
        self._was_killed = False
        self._told: tuple[int | None, Word] | None = None  # which admin process knows what
        self._had_terminal = os.isatty(_STANDARD_ERROR)
        self._signals = _signals()

    def run(self, when_ready: Callable[[], None]) -> int:
        """Keep the children alive until told to stop; return the exit code.

        *when_ready* is called once, when every child has become ready for the first time.
        """
        announce: Callable[[], None] | None = when_ready
        while self._deadline is None or self._living():
            self._begin_what_is_due()
            self._ask_whether_they_work()
            self._wait()
            self._reap()
            self._tell_admin()
            if announce and self._deadline is None and all(child.is_ready for child in self._children):
                announce()
                announce = None
                sd_notify("READY=1")
        log.flush()
        return os.EX_SOFTWARE if self._was_killed else os.EX_OK

    # --- the children ----------------------------------------------------------------------------

    def _living(self) -> list[Child]:
        return [child for child in self._children if child.pid is not None]

    def _begin_what_is_due(self) -> None:
        for child in self._children:
            if child.pid is None and self._deadline is None and time.monotonic() >= child.begin_at:
                child.begin(self._children)

    def _ask_whether_they_work(self) -> None:
        """A child whose loop stands still is alive, and of no use: it is killed, and begun anew.

        Counted are questions, not seconds: nobody is late for having been asleep together with the parent.
        """
        if self._deadline is not None or time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + self._question_every
        for child in self._living():
            if child.unanswered >= _QUESTIONS:
                log.child_hung(process=child.name, pid=child.pid, seconds=_QUESTIONS * self._question_every)
                child.kill()
            else:
                child.ask()

    def _reap(self) -> None:
        for child in self._children:
            pid, how = child.pid, child.reap()
            if pid is None or how is None:
                continue
            if self._deadline is None:
                again_in = max(0.0, child.begin_at - time.monotonic())
                log.child_died(process=child.name, pid=pid, status=how, again_in=round(again_in, 1))
                continue
            log.stopping(process=child.name, step=f"ended: {how}")
            if not any(relay.pid for relay in self._relays):
                self._admin.say(Word.STOP)

    def _tell_admin(self) -> None:
        """Readiness is told by the admin process, but it is the parent who knows."""
        news = Word.MAIL_IS_UP if all(relay.is_ready for relay in self._relays) else Word.MAIL_IS_DOWN
        if self._told != (self._admin.pid, news):
            self._told = (self._admin.pid, news)
            self._admin.say(news)

    # --- the operator ----------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until there is something to do: a signal, a word, a child to begin, a deadline."""
        log.flush()
        speaking = {child.channel.fileno(): child for child in self._children if child.channel is not None}
        poll = select.poll()  # unlike select(), good for files numbered beyond a thousand ports
        for file in (self._signals.fileno(), *speaking):
            poll.register(file, select.POLLIN)
        for file, _ in poll.poll(self._time_left()):
            if file in speaking:
                speaking[file].hear()
            else:
                for number in self._signals.recv(64):
                    self._obey(signal.Signals(number))
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._kill("the grace is over")

    def _time_left(self) -> float:
        """Milliseconds until something is to be done unasked."""
        due = [child.begin_at for child in self._children if child.pid is None]
        first = min([self._ask_at, *due]) if self._deadline is None else self._deadline
        return max(0.0, (first - time.monotonic()) * 1000)

    def _obey(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGCHLD:
                pass  # it only had to wake us
            case signal.SIGHUP if not self._is_terminal_gone():
                for relay in self._relays:
                    relay.say(Word.RENEW_CERTIFICATE)
            case _ if self._deadline is None:
                self._stop(number.name)
            case signal.SIGTERM | signal.SIGINT:
                self._kill(f"a second {number.name}")

    def _is_terminal_gone(self) -> bool:
        """Whether SIGHUP means what it meant at first: whoever sat at our terminal has closed it."""
        return self._had_terminal and not os.isatty(_STANDARD_ERROR)

    def _stop(self, why: str) -> None:
        log.stopping(process="supervisor", step=f"stop in order, for {why}")
        sd_notify("STOPPING=1")
        self._deadline = time.monotonic() + self._grace + _KILL_MARGIN
        self._close_doors()
        self._admin.say(Word.DRAINING)
        for relay in self._relays:
            relay.say(Word.STOP)
        if not any(relay.pid for relay in self._relays):
            self._admin.say(Word.STOP)

    def _kill(self, why: str) -> None:
        for child in self._living():
            self._was_killed = True
            log.stopping(process=child.name, step=f"killed: {why}")
            child.kill()
        self._deadline = time.monotonic() + _KILL_MARGIN


def _signals() -> socket.socket:
    """Return a socket on which the number of every signal of ours arrives as a byte."""
    heard, told = socket.socketpair()
    heard.setblocking(False)
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _noted)
    told.detach()
    return heard


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Python writes the number to the wake-up socket only for signals that have a handler."""
