"""The writer: whoever commits what `Database.write` is given.  Here, a thread of this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Engine

from relay.db.commit import AT_MOST, CROWD, GATHER_SECONDS, OCTETS_AT_MOST, Answer, Call, Committer


class Writer(Protocol):
    """Takes calls and ends their futures once they are committed, or have failed."""

    def put(self, call: Call, future: asyncio.Future[Any]) -> None:
        """Have *call* committed, soon and with others; *future* ends afterwards."""

    async def close(self) -> None:
        """Commit all that is pending; then no more."""


def resolve(future: asyncio.Future[Any], answer: Answer) -> None:
    """Tell whoever waits what became of his call, if he still waits."""
    if future.done():  # cancelled, that is
        return
    if answer.fault is not None:
        future.set_exception(answer.fault)
    else:
        future.set_result(answer.result)


class _Pending(NamedTuple):
    call: Call
    future: asyncio.Future[Any]


class WriterThread:
    """A thread that takes *all* that has arrived, commits it in one group, and looks again.

    Under load it and the loop fight for the interpreter; `relay.db.scribe` does not.
    """

    def __init__(self, engine: Engine) -> None:
        self._loop = asyncio.get_running_loop()
        self._committer = Committer(engine)
        self._pending: deque[_Pending] = deque()  # safe to append to and to take from in two threads
        self._wake = threading.Event()
        self._is_idle = True
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="db-write", daemon=True)
        self._thread.start()

    def put(self, call: Call, future: asyncio.Future[Any]) -> None:
        """See Writer."""
        self._pending.append(_Pending(call, future))
        if self._is_idle:
            self._is_idle = False
            self._wake.set()

    async def close(self) -> None:
        """See Writer."""
        self._is_closing = True
        self._wake.set()
        await self._loop.run_in_executor(None, self._thread.join)

    # The thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while group := self._take_group():
                answers = self._committer.commit([pending.call for pending in group])
                self._loop.call_soon_threadsafe(_resolve_all, group, answers)
                if len(group) >= CROWD:
                    time.sleep(GATHER_SECONDS)
            if self._is_closing and not self._pending:
                self._committer.hang_up()
                return

    def _take_group(self) -> list[_Pending]:
        group = self._take_pending()
        if not group:
            # The loop may append between the line above and the next: look once more after
            # declaring ourselves idle, or that write would sleep until the next one.
            self._is_idle = True
            group = self._take_pending()
            if group:
                self._is_idle = False
        return group

    def _take_pending(self) -> list[_Pending]:
        group: list[_Pending] = []
        octets = 0
        while self._pending and len(group) < AT_MOST and octets < OCTETS_AT_MOST:
            group.append(self._pending.popleft())
            octets += group[-1].call.octets
        return group


def _resolve_all(group: Sequence[_Pending], answers: Sequence[Answer]) -> None:
    for pending, answer in zip(group, answers, strict=True):
        resolve(pending.future, answer)
