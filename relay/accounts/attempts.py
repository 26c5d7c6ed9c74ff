"""Who tried to log in, from where, and with what result: counted by day, never one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from relay.accounts.profile import BadAccount, fold_name
from relay.db.batch import Batch
from relay.db.tables import credentials, login_attempts, users
from relay.mail.neighbours import neighbourhood


class Result(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    BARRED = "barred"  # the password was not even looked at


@dataclass(frozen=True, slots=True)
class Attempts:
    """What one source tried on one day; `user_name` is "" for all names that nobody has."""

    user_name: str
    network: str
    day: datetime
    mechanism: str
    result: Result
    count: int
    last_at: datetime
    last_from: str


def _adding(insert: Any) -> Any:
    statement = insert(login_attempts)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(login_attempts.primary_key),
        set_={
            "count": login_attempts.c.count + fresh.count,
            "last_at": fresh.last_at,
            "last_from": fresh.last_from,
        },
    )


_ADD = {"sqlite": Batch(_adding(sqlite.insert)), "postgresql": Batch(_adding(postgresql.insert))}
_USER_ID = select(users.c.id).where(users.c.name == bindparam("name"))
_SUCCESSES = (
    select(login_attempts.c.network)
    .where(login_attempts.c.user_name == bindparam("name"), login_attempts.c.result == Result.SUCCESS.value)
    .distinct()
)
_LAST_USES = select(credentials.c.last_used_from).where(
    credentials.c.user_id == bindparam("user_id"), credentials.c.last_used_from.is_not(None)
)


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """A user by its id, and the networks that it logged in from before."""

    user_id: str
    networks: frozenset[str]


def count_attempts(tx: Connection, items: Sequence[Sequence[Attempts]]) -> list[None]:
    """Add to the counts, in one order, so that two processes cannot wait for each other."""
    rows = [
        {
            "user_name": each.user_name,
            "network": each.network,
            "day": each.day,
            "mechanism": each.mechanism,
            "result": each.result.value,
            "count": each.count,
            "last_at": each.last_at,
            "last_from": each.last_from[:64],
        }
        for item in items
        for each in item
    ]
    rows.sort(key=lambda row: [str(row[column.name]) for column in login_attempts.primary_key])
    _ADD[tx.dialect.name].run(tx, rows)
    return [None] * len(items)


def acquaintance(tx: Connection, name: str) -> Acquaintance | None:
    """Return from where *name* is known; None if there is no such user."""
    try:
        folded = fold_name(name)
    except BadAccount:
        return None
    user_id = tx.execute(_USER_ID, {"name": folded}).scalar()
    if user_id is None:
        return None
    networks = set(tx.execute(_SUCCESSES, {"name": folded}).scalars())
    networks.update(neighbourhood(last) for last in tx.execute(_LAST_USES, {"user_id": user_id}).scalars())
    return Acquaintance(user_id, frozenset(networks))


def list_attempts(
    tx: Connection, *, since: datetime, user: str | None, result: Result | None, limit: int
) -> list[Attempts]:
    """Return what was counted since the day of *since*, the latest first."""
    wanted = (
        select(login_attempts)
        .where(login_attempts.c.day >= day_of(since))
        .order_by(login_attempts.c.last_at.desc())
        .limit(limit)
    )
    if user is not None:
        wanted = wanted.where(login_attempts.c.user_name == user)
    if result is not None:
        wanted = wanted.where(login_attempts.c.result == result.value)
    return [Attempts(**{**row._asdict(), "result": Result(row.result)}) for row in tx.execute(wanted)]


def purge_attempts(tx: Connection, items: Sequence[datetime]) -> list[int]:
    """Forget what was counted before each of these moments; return how many rows that were."""
    return [
        tx.execute(delete(login_attempts).where(login_attempts.c.day < before)).rowcount for before in items
    ]


def day_of(at: datetime) -> datetime:
    """The beginning of the day of *at*, in UTC as all times are."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
