"""INSERT … ON CONFLICT, which SQLite and PostgreSQL write alike but SQLAlchemy spells apart."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_for(tx: Connection, table: Table) -> Any:
    """Return an INSERT of the database at hand, which knows `on_conflict_do_update` and `_do_nothing`."""
    return (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(table)
