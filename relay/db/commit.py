"""Group commit: many writes, one transaction, and to each its own answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

AT_MOST = 500
"""Writes in one transaction: a few dozen milliseconds at most."""

OCTETS_AT_MOST = 16 * 2**20
"""In one transaction: large letters are not gathered without end."""

# A transaction costs half a millisecond of processor time before its first write.  So while many write at
# once, more of them are gathered into the next group; who writes alone never waits.
CROWD = 2
GATHER_SECONDS = 0.0025

Function = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Call(NamedTuple):
    """A write: *function* takes the transaction and all items that arrived for it."""

    function: Function
    item: Any
    octets: int = 0


class Answer(NamedTuple):
    """What became of a call: it is committed with this result, or it raised."""

    result: Any = None
    fault: BaseException | None = None


class _OutOfReach(Exception):
    """No transaction could be begun: the database is gone, or locked for too long."""

    def __init__(self, fault: SQLAlchemyError) -> None:
        super().__init__(fault)
        self.fault = fault


class Committer:
    """Commits groups of calls, one group at a time, on a connection of its own.

    The connection is kept while all goes well: another one would have a cold cache on SQLite, and on
    PostgreSQL be a round trip away.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def commit(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer each of *calls*: all in one transaction if that works, else each in its own.

        So only the guilty fails.  If the database is out of reach, all do, without further tries.
        """
        try:
            return self._run_together(calls)
        except _OutOfReach as out:
            return [Answer(fault=out.fault)] * len(calls)
        except Exception as fault:  # noqa: BLE001  whatever it is, its callers are told
            if len(calls) == 1 and not _lost_connection(fault):
                return [Answer(fault=fault)]
            return self._run_one_by_one(calls)

    def hang_up(self) -> None:
        """Let go of the connection; the next group gets another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run_one_by_one(self, calls: Sequence[Call]) -> list[Answer]:
        answers: list[Answer] = []
        for call in calls:
            try:
                answers += self._run_together([call])
            except _OutOfReach as out:  # the rest would only wait for the same answer
                return answers + [Answer(fault=out.fault)] * (len(calls) - len(answers))
            except Exception as fault:  # noqa: BLE001  whatever it is, its caller is told
                answers.append(Answer(fault=fault))
        return answers

    def _run_together(self, calls: Sequence[Call]) -> list[Answer]:
        # By equality, for a method is another object each time it is named.
        places = defaultdict[Function, list[int]](list)
        for place, call in enumerate(calls):
            places[call.function].append(place)
        answers = [Answer()] * len(calls)
        with self._begin() as tx:
            for function, mine in places.items():
                results = function(tx, [calls[place].item for place in mine])
                for place, result in zip(mine, results, strict=True):
                    answers[place] = Answer(result)
        return answers

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            self._connection = self._connection or self._engine.connect()
            transaction = self._connection.begin()
        except SQLAlchemyError as fault:
            self.hang_up()
            raise _OutOfReach(fault) from fault
        try:
            with transaction:
                yield self._connection
        except BaseException:
            self.hang_up()
            raise


def _lost_connection(fault: Exception) -> bool:
    """Whether the connection, kept from the group before, turned out to be dead."""
    return isinstance(fault, DBAPIError) and fault.connection_invalidated
