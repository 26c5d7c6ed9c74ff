"""`write` and `read`: all that the rooms know of the database.

A write is a function and an item.  One writer per process takes *all* that has arrived, calls each
function once with all its items, commits once, and only then resolves the callers: group commit.
So a hundred messages that arrive together cost one fsync, and a room is plain synchronous code that
takes `tx` and never commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from relay.db.commit import Call
from relay.db.engine import READERS, read_with
from relay.db.writer import Writer, WriterThread

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")
Result = TypeVar("Result")


LARGE = 1024 * 1024
"""A write of so many octets is not worth sending to another process: each copy of them costs more."""


class Database:
    """The one database of a process: writes in groups, reads beside them.

    Made and used on one event loop; `close` it there.  The engine's connections are its own.
    Unless *writer* says who writes, a thread does; it does in any case what is LARGE.
    """

    def __init__(self, engine: Engine, writer: Writer | None = None) -> None:
        self.engine = engine
        self._loop = asyncio.get_running_loop()
        self._thread = WriterThread(engine) if writer is None else None
        self._writer = writer
        self._is_closing = False
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-read")

    def write(
        self,
        function: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        item: Item,
        *,
        octets: int = 0,
    ) -> asyncio.Future[Result]:
        """Run *function* with this *item* among others; the future ends after the commit.

        *octets* says how large the item is, where it may be large.

        *function* takes the transaction and all items that arrived for it, and returns as many
        results, in their order.  It may be run again with fewer items (alone, in the end) if a
        group that it was in failed, so it must do nothing but write to *tx*; and it may be run in
        another process, so it is a function of a module, and its items are values.  The future
        raises whatever it raised when it was alone with this item.
        """
        if self._is_closing:
            raise RuntimeError("the database is closed")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._writer_of(octets).put(Call(function, item, octets), future)
        return future

    def _writer_of(self, octets: int) -> Writer:
        if self._writer is not None and octets < LARGE:
            return self._writer
        if self._thread is None:
            self._thread = WriterThread(self.engine)
        return self._thread

    async def read(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run *function(tx, …)* in a reader's thread, in a transaction that sees one moment."""
        return await self._loop.run_in_executor(
            self._readers, lambda: read_with(self.engine, function, *args, **kwargs)
        )

    async def close(self) -> None:
        """Commit all that is pending, then let go of the database."""
        self._is_closing = True
        for writer in (self._writer, self._thread):
            if writer is not None:
                await writer.close()
        self._readers.shutdown(wait=True)
        self.engine.dispose()
