"""Statements about the rows of several ids, compiled once for each number of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Delete, Select, bindparam

from relay.db import driver
from relay.db.batch import Prepared

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""How many ids a statement may have room for; where there are fewer, the last one stands there again."""

Ids = Sequence[BindParameter[str]]


class Among:
    """A SELECT or DELETE, given as what it is for some *ids*; made at import.

    Its rows are the driver's: a moment or an enum is what it lies there as.  Where there are more ids than
    one statement has room for, each has its share of them in the order of the ids.
    """

    def __init__(self, statement_for: Callable[[Ids], Select[Any] | Delete]) -> None:
        self._statement_for = statement_for
        self._prepared: dict[tuple[str, int], tuple[list[str], Prepared]] = {}

    def run(self, tx: Connection, ids: Collection[str]) -> list[tuple[Any, ...]]:
        """Run it for *ids*, each of which is there once, and return the rows; no ids, no work."""
        rows: list[tuple[Any, ...]] = []
        in_order = sorted(ids)
        for start in range(0, len(in_order), _SIZES[-1]):
            some = in_order[start : start + _SIZES[-1]]
            names, prepared = self._prepare(tx, len(some))
            some += some[-1:] * (len(names) - len(some))
            parameters = prepared.parameters([dict(zip(names, some, strict=True))])
            rows += driver.execute(tx, prepared.sql, parameters)
        return rows

    def _prepare(self, tx: Connection, count: int) -> tuple[list[str], Prepared]:
        key = tx.dialect.name, count
        if key not in self._prepared:
            names = [f"id_{number}" for number in range(next(size for size in _SIZES if size >= count))]
            statement = self._statement_for([bindparam(name) for name in names])
            self._prepared[key] = names, Prepared(statement, tx.dialect, names, 1)
        return self._prepared[key]
