"""Statements that SQLite's driver runs itself, for what every transaction runs several of.

An execution of SQLAlchemy's makes a context, a result and what its events are told, which costs some times
what SQLite itself does for a few rows.  So it only compiles such statements, once (see `batch` and `among`).
A server's answer takes longer than all that: PostgreSQL is asked as usual.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def execute(tx: Connection, sql: str, parameters: Any) -> Sequence[Any]:
    """Run *sql*, as the driver takes it, in *tx*, which has begun; return its rows as the driver has them.

    Raises what SQLAlchemy raises.
    """
    assert tx.in_transaction()
    if tx.dialect.name != "sqlite":
        result = tx.exec_driver_sql(sql, parameters)
        return result.all() if result.returns_rows else ()
    try:
        return tx.connection.cursor().execute(sql, parameters).fetchall()  # type: ignore[no-any-return]
    except sqlite3.Error as fault:
        raise DBAPIError.instance(sql, parameters, fault, sqlite3.Error, dialect=tx.dialect) from fault
