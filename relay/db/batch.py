"""One statement for many rows, with hardly more work for a row than the database itself has with it.

SQLAlchemy's own executemany costs the hot path more than SQLite does: it puts together the
parameters of each row anew.  Here a statement is compiled once for each kind of database, and what
has to be done for a row (which of its values goes where, which must be converted) is known from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.sql.dml import Delete

Row = Mapping[str, Any]
_Converter = Callable[[Any], Any]


class Batch:
    """An INSERT, UPDATE or DELETE, made once at import and run for many rows at a time.

    All rows ever given to it have the same names: for an INSERT those of columns, else those of
    the statement's own bindparams.
    """

    def __init__(self, statement: Insert | Update | Delete) -> None:
        self._statement = statement
        self._prepared: dict[str, _Prepared] = {}

    def run(self, tx: Connection, rows: Sequence[Row]) -> None:
        """Run the statement once for each of *rows*; no rows, no work."""
        if not rows:
            return
        prepared = self._prepared.get(tx.dialect.name)
        if prepared is None:
            prepared = self._prepared[tx.dialect.name] = _Prepared(self._statement, tx.dialect, rows[0])
        tx.exec_driver_sql(prepared.sql, prepared.parameters(rows))


class _Prepared:
    """A statement as one kind of database takes it."""

    def __init__(self, statement: Insert | Update | Delete, dialect: Dialect, example: Row) -> None:
        columns = list(example) if isinstance(statement, Insert) else None
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        self.sql = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or list(dict.fromkeys(compiled.bind_names.values()))
        self._is_positional: bool = compiled.positional
        self._fixed: list[Any] = []  # a row of values: those that the statement itself brings
        self._moving: list[tuple[int, str, _Converter | None]] = []  # and where the row's own ones go
        for place, name in enumerate(self._names):
            bind = compiled.binds[name]
            convert: _Converter | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if name in example:
                self._fixed.append(None)
                self._moving.append((place, name, convert))
            else:
                self._fixed.append(convert(bind.value) if convert else bind.value)

    def parameters(self, rows: Sequence[Row]) -> list[Any]:
        """Return what the driver is given for *rows*."""
        values = [self._values(row) for row in rows]
        if self._is_positional:
            return [tuple(row) for row in values]
        return [dict(zip(self._names, row, strict=True)) for row in values]

    def _values(self, row: Row) -> list[Any]:
        values = self._fixed.copy()
        for place, name, convert in self._moving:
            value = row[name]
            values[place] = value if convert is None else convert(value)
        return values
