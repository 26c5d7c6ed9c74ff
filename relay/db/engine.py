"""`write` and `read`: all that the rooms know of the database.

A write is a function and an item.  One writer thread per process takes *all* that has arrived,
calls each function once with all its items, commits once, and only then resolves the callers:
group commit.  So a hundred messages that arrive together cost one fsync, and a room is plain
synchronous code that takes `tx` and never commits.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")
Result = TypeVar("Result")

_READERS = 4
_SQLITE_BUSY_MS = 10_000
_MAX_GROUP = 500  # writes in one transaction: a few dozen milliseconds at most

# A database whose machine vanished without a word is given up after some seconds, not after hours.
_POSTGRESQL_PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


def open_engine(url: str) -> Engine:
    """Return an engine for *url*, durable and with real transactions on either database."""
    if url.startswith("sqlite"):
        engine = create_engine(url, poolclass=QueuePool, pool_size=_READERS + 2, max_overflow=8)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return create_engine(url, pool_size=_READERS + 2, pool_pre_ping=True, connect_args=_POSTGRESQL_PATIENCE)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; we do, below
    cursor = connection.cursor()
    _enter_wal(cursor)
    for pragma in (
        f"busy_timeout={_SQLITE_BUSY_MS}",
        "synchronous=FULL",  # 250 is a promise: NORMAL may lose the last commits with the power
        "foreign_keys=ON",
        "wal_autocheckpoint=4000",
        "cache_size=-16384",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _enter_wal(cursor: Any) -> None:
    # On a new file this needs the file for itself, and SQLite does not wait for that, so we do.
    for _ in range(_SQLITE_BUSY_MS // 10):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(0.01)
        else:
            return
    raise sqlite3.OperationalError("database is locked")


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads before it writes loses updates silently on SQLite.
    readonly = connection.get_execution_options().get("relay_readonly", False)
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


# A transaction costs half a millisecond of processor time before its first item, and under load the
# loop needs that time itself.  So while many write at once, more of them are gathered into the next
# group; who writes alone never waits.
_CROWD = 3
_GATHER_SECONDS = 0.0015


class _OutOfReach(Exception):
    """No transaction could be begun: the database is gone, or locked for too long."""

    def __init__(self, fault: SQLAlchemyError) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(slots=True)
class _Pending:
    """One caller's write, until the commit it travels in."""

    function: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    item: Any
    future: asyncio.Future[Any]
    result: Any = None
    fault: BaseException | None = None


class Database:
    """The one database of a process: writes in groups, reads beside them.

    Made and used on one event loop; `close` it there.  The engine's connections are its own.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._loop = asyncio.get_running_loop()
        self._pending: deque[_Pending] = deque()  # safe to append to and to take from in two threads
        self._wake = threading.Event()
        self._is_idle = True
        self._is_closing = False
        self._connection: Connection | None = None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="db-read")
        self._writer = threading.Thread(target=self._write_groups, name="db-write", daemon=True)
        self._writer.start()

    def write(
        self, function: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item
    ) -> asyncio.Future[Result]:
        """Run *function* with this *item* among others; the future ends after the commit.

        *function* takes the transaction and all items that arrived for it, and returns as many
        results, in their order.  It may be run again with fewer items (alone, in the end) if a
        group that it was in failed, so it must do nothing but write to *tx*.  The future raises
        whatever it raised when it was alone with this item.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        if self._is_closing:
            raise RuntimeError("the database is closed")
        self._pending.append(_Pending(function, item, future))
        if self._is_idle:
            self._is_idle = False
            self._wake.set()
        return future

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
        self._wake.set()
        await self._loop.run_in_executor(None, self._writer.join)
        self._readers.shutdown(wait=True)
        self.engine.dispose()

    # The writer's thread ------------------------------------------------------------------

    def _write_groups(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while group := self._take_group():
                self._commit(group)
                self._loop.call_soon_threadsafe(_resolve, group)
                if len(group) >= _CROWD:
                    time.sleep(_GATHER_SECONDS)
            if self._is_closing and not self._pending:
                self._hang_up()
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
        while self._pending and len(group) < _MAX_GROUP:
            group.append(self._pending.popleft())
        return group

    def _commit(self, group: list[_Pending]) -> None:
        """Give each of *group* its result or its fault: all in one transaction if that works."""
        try:
            self._run_together(group)
        except _OutOfReach as out:
            for pending in group:
                pending.fault = out.fault
        except Exception as fault:  # noqa: BLE001  whatever it is, its callers are told
            if len(group) == 1 and not _lost_connection(fault):
                group[0].fault = fault
            else:
                self._commit_one_by_one(group)

    def _commit_one_by_one(self, group: list[_Pending]) -> None:
        """After one failed, run each in a transaction of its own, so that only the guilty fails."""
        for number, pending in enumerate(group):
            try:
                self._run_together([pending])
            except _OutOfReach as out:
                for rest in group[number:]:  # they would only wait for the same answer
                    rest.fault = out.fault
                return
            except Exception as fault:  # noqa: BLE001  whatever it is, its caller is told
                pending.fault = fault

    def _run_together(self, group: list[_Pending]) -> None:
        # By equality, for a method is another object each time it is named.
        calls = defaultdict[Callable[..., Sequence[Any]], list[_Pending]](list)
        for pending in group:
            calls[pending.function].append(pending)
        with self._begin() as tx:
            for function, mine in calls.items():
                results = function(tx, [pending.item for pending in mine])
                for pending, result in zip(mine, results, strict=True):
                    pending.result = result

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        """A transaction on the writer's own connection, which is kept while all goes well.

        Another one would have a cold cache on SQLite, and on PostgreSQL be a round trip away.
        """
        try:
            self._connection = self._connection or self.engine.connect()
            transaction = self._connection.begin()
        except SQLAlchemyError as fault:
            self._hang_up()
            raise _OutOfReach(fault) from fault
        try:
            with transaction:
                yield self._connection
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _lost_connection(fault: Exception) -> bool:
    """Whether the connection, kept from the group before, turned out to be dead."""
    return isinstance(fault, DBAPIError) and fault.connection_invalidated


def _resolve(group: list[_Pending]) -> None:
    for pending in group:
        if pending.future.cancelled():
            continue
        if pending.fault is not None:
            pending.future.set_exception(pending.fault)
        else:
            pending.future.set_result(pending.result)


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        tx = connection.execution_options(relay_readonly=True)
        with tx.begin():
            yield tx


def read_with(
    engine: Engine, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run *function(tx, …)* here and now, without a Database: for the CLI and for start-up."""
    with _reading(engine) as tx:
        return function(tx, *args, **kwargs)


def write_with(
    engine: Engine, function: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item
) -> Result:
    """Write one *item* here and now, without a Database: for the CLI and for start-up."""
    with engine.begin() as tx:
        return function(tx, [item])[0]
