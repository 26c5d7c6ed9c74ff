"""One statement for many rows, with hardly more work for a row than the database itself has with it.

SQLAlchemy's own executemany costs the hot path more than SQLite does: it puts together the
parameters of each row anew.  Here a statement is compiled once for each kind of database, and what
has to be done for a row (which of its values goes where, which must be converted) is known from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    Connection,
    Dialect,
    Insert,
    Select,
    Update,
    bindparam,
    column,
    values,
)
from sqlalchemy.sql.dml import Delete
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

from relay.db import driver

Row = Mapping[str, Any]
Statement = Insert | Update | Delete
_Converter = Callable[[Any], Any]

_SIZES = (64, 48, 32, 24, 20, 16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
"""How many rows a statement may have, so that any number is put together from few statements (one more costs
as much as two rows), and from few different ones; SQLite takes 32,766 parameters in one."""


class Batch:
    """An INSERT, UPDATE or DELETE, made once at import and run for many rows at a time.

    All rows ever given to it have the same names: for an INSERT those of columns, else those of
    the statement's own bindparams.

    *apart* names values: rows that differ in them do not concern each other.  If all rows of a run do,
    SQLite gets them in a few statements of many rows, which costs it less; else one after the other.
    (psycopg sends all rows of a run in one go by itself.)
    """

    def __init__(self, statement: Statement, *, apart: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._key_of = itemgetter(*apart) if apart else None
        self._prepared: dict[tuple[str, int], Prepared] = {}

    def run(self, tx: Connection, rows: Sequence[Row]) -> None:
        """Run the statement for each of *rows*; no rows, no work."""
        if not rows:
            return
        if tx.dialect.name == "sqlite" and self._are_apart(rows):
            for chunk in _chunks(rows):
                prepared = self._prepare(tx.dialect, chunk)
                driver.execute(tx, prepared.sql, prepared.parameters(chunk))
        else:
            prepared = self._prepare(tx.dialect, rows[:1])
            tx.exec_driver_sql(prepared.sql, [prepared.parameters([row]) for row in rows])

    def _are_apart(self, rows: Sequence[Row]) -> bool:
        return self._key_of is not None and len({self._key_of(row) for row in rows}) == len(rows)

    def _prepare(self, dialect: Dialect, rows: Sequence[Row]) -> Prepared:
        key = dialect.name, len(rows)
        if key not in self._prepared:
            self._prepared[key] = Prepared(self._statement, dialect, list(rows[0]), len(rows))
        return self._prepared[key]


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut *rows* into pieces of known sizes, the largest first."""
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


class Prepared:
    """A statement for so many rows, as one kind of database takes it."""

    def __init__(
        self, statement: Statement | Select[Any], dialect: Dialect, names: Sequence[str], count: int
    ) -> None:
        columns = names if isinstance(statement, Insert) else None
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        cells = list(names)
        if count > 1:
            assert not isinstance(statement, Select)
            types = {name: compiled.binds[name].type for name in names}
            compiled = _of_many(statement, types, count).compile(dialect=dialect)
            cells = [_cell(name, number) for number in range(count) for name in names]
        self.sql = str(compiled)
        self._names = names
        self._binds: Sequence[str] = compiled.positiontup or list(dict.fromkeys(compiled.bind_names.values()))
        self._is_positional: bool = compiled.positional
        converters = [_converter(compiled.binds[cell], dialect) for cell in cells[: len(names)]]
        self._converted = [(place, convert) for place, convert in enumerate(converters) if convert]
        # What the statement itself brings stands behind the cells of the rows, until all is put in its place.
        own = sorted({*self._binds} - {*cells})
        self._own = [_converted_value(compiled.binds[bind], dialect) for bind in own]
        place_of = {bind: place for place, bind in enumerate([*cells, *own])}
        self._places = [place_of[bind] for bind in self._binds]
        self._is_in_place = self._places == list(range(len(cells)))

    def parameters(self, rows: Sequence[Row]) -> Any:
        """Return what the driver is given for *rows*."""
        found: list[Any] = []
        for row in rows:
            values = [row[name] for name in self._names]
            for place, convert in self._converted:
                values[place] = convert(values[place])
            found += values
        if not self._is_in_place:
            found += self._own
            found = [found[place] for place in self._places]
        return tuple(found) if self._is_positional else dict(zip(self._binds, found, strict=True))


def _converter(bind: BindParameter[Any], dialect: Dialect) -> _Converter | None:
    return bind.type.dialect_impl(dialect).bind_processor(dialect)


def _converted_value(bind: BindParameter[Any], dialect: Dialect) -> Any:
    convert = _converter(bind, dialect)
    return bind.value if convert is None else convert(bind.value)


def _cell(name: str, number: int) -> str:
    return f"{name}__{number}"


def _of_many(statement: Statement, types: Mapping[str, TypeEngine[Any]], count: int) -> Statement:
    """The statement with room for *count* rows: in an INSERT as its values, else as a table beside it."""
    cells = [
        {name: bindparam(_cell(name, number), type_=kind) for name, kind in types.items()}
        for number in range(count)
    ]
    if isinstance(statement, Insert):
        return statement.values(cells)
    given = values(*(column(name, kind) for name, kind in types.items()), name="given")
    rows = given.data([tuple(row.values()) for row in cells]).cte("given")

    def from_its_row(element: Any, **_: Any) -> Any:
        return rows.c[element.key] if isinstance(element, BindParameter) and element.key in types else None

    return cast("Statement", replacement_traverse(statement, {}, from_its_row))
