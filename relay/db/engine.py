"""The engine: SQLite or PostgreSQL, durable and with real transactions; and its use without a loop."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 4
"""How many of a process read at once, each on a connection of its own."""

_SQLITE_BUSY_MS = 10_000
_SQLITE_CACHE_KIB = 16 * 1024  # of each connection, for pages of the database
_SQLITE_PASSING_KIB = 1024  # for what is read once
_SQLITE_STATEMENTS = 1024  # kept prepared: the same statement for 1, 2, 3, 4, 6 … rows is several

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
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=READERS + 2,
            max_overflow=8,
            connect_args={"cached_statements": _SQLITE_STATEMENTS},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return create_engine(url, pool_size=READERS + 2, pool_pre_ping=True, connect_args=_POSTGRESQL_PATIENCE)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; we do, below
    connection.create_function("lower", 1, _lower, deterministic=True)  # its own knows ASCII alone
    cursor = connection.cursor()
    _enter_wal(cursor)
    for pragma in (
        f"busy_timeout={_SQLITE_BUSY_MS}",
        "synchronous=FULL",  # 250 is a promise: NORMAL may lose the last commits with the power
        "foreign_keys=ON",
        # Debian's SQLite overwrites what is deleted with zeros: a large letter was written once more to be
        # forgotten.  Now only where that writes no page that would not be written anyhow.
        "secure_delete=FAST",
        "wal_autocheckpoint=4000",
        f"cache_size=-{_SQLITE_CACHE_KIB}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


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


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        tx = connection.execution_options(relay_readonly=True)
        with tx.begin():
            yield tx


@contextmanager
def passing_through(tx: Connection) -> Iterator[None]:
    """Keep hardly a page of what is read meanwhile: of large values, for which nobody asks again.

    Else the pages of a large letter would push all others out of SQLite's cache, and fill it with memory
    that the system has to find anew for the next one.
    """
    if tx.dialect.name != "sqlite":
        yield
        return
    tx.exec_driver_sql(f"PRAGMA cache_size=-{_SQLITE_PASSING_KIB}")
    try:
        yield
    finally:
        tx.exec_driver_sql(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")


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
