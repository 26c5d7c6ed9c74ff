"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, String, TypeDecorator
from sqlalchemy.types import TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _in_microseconds(value: datetime | None) -> int | None:
    return None if value is None else (value - _EPOCH) // _MICROSECOND


def _aware(value: datetime | None) -> datetime | None:
    return None if value is None else _EPOCH + (value - _EPOCH)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite.

    SQLite has no moments of its own; its text form loses the zone, sorts only by luck, and costs
    a parse for each value.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's real type."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Give the database a moment; a naive one is a mistake of ours, and raises TypeError."""
        return _in_microseconds if dialect.name == "sqlite" else _aware

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read a moment back, always aware, always UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(microseconds=value)
        moment: datetime = value
        return moment.astimezone(UTC)


class _Texts(dict[StrEnum | str | None, str | None]):
    """The plain text of each member of an enum, which a member of it or its text finds."""

    def __missing__(self, value: object) -> str:
        raise ValueError(f"{value!r} is none of {[*self]}")


class EnumText(TypeDecorator[StrEnum]):
    """An enum of ours, stored as its text, so that a row can be read without the code."""

    impl = String(24)
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002
        """Give the database the enum's text; text that is none of its values raises ValueError."""
        return _Texts({None: None} | {member: member.value for member in self.kind}).__getitem__

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Read the enum back."""
        return None if value is None else self.kind(value)
