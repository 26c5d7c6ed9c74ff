"""What all tables share: their metadata, and the lengths of what stands in many of them."""

from typing import Any

from sqlalchemy import Column, Index, MetaData, String
from sqlalchemy.sql import ColumnElement

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = String(26)
NAME = String(255)
ADDRESS = String(320)


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """Index only the rows that are asked for, so that those long done cost nothing."""
    Index(name, *columns, sqlite_where=where, postgresql_where=where)
