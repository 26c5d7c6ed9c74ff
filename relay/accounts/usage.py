"""How much a user sent, counted by the hour in the transaction that accepts the messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from relay.db.batch import Batch
from relay.db.tables import usage, usage_minutes, users
from relay.policy.quotas import Window


@dataclass(frozen=True, slots=True)
class Usage:
    """What was sent within some time; a message to three recipients counts three of them."""

    messages: int = 0
    recipients: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """One accepted message, for the account of *user_id*."""

    user_id: str
    at: datetime
    recipients: int
    octets: int


def _upsert(insert: Any, table: Table, began: Column[Any]) -> Any:
    statement = insert(table)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[table.c.user_id, began],
        set_={
            "messages": table.c.messages + fresh.messages,
            "recipients": table.c.recipients + fresh.recipients,
            "octets": table.c.octets + fresh.octets,
        },
    )


# INSERT … ON CONFLICT, which both write alike, is spelled apart by SQLAlchemy
def _adding(table: Table, began: Column[Any]) -> dict[str, Batch]:
    dialects = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return {
        name: Batch(_upsert(insert, table, began), apart=("user_id", began.name))
        for name, insert in dialects.items()
    }


_ADD_TO_HOURS = _adding(usage, usage.c.hour)
_ADD_TO_MINUTES = _adding(usage_minutes, usage_minutes.c.minute)


def charge(tx: Connection, items: Sequence[Charge]) -> None:
    """Count *items*: one statement, one row a user and hour, however many messages there are.

    Rows go in one order, so that two processes that charge the same users cannot wait for each other.
    """
    hours = _sums("hour", items, lambda at: at.replace(minute=0, second=0, microsecond=0))
    _ADD_TO_HOURS[tx.dialect.name].run(tx, hours)


def charge_minutes(tx: Connection, items: Sequence[Charge]) -> None:
    """Count *items* by the minute, too, for those whose minutes are asked about."""
    minutes = _sums("minute", items, lambda at: at.replace(second=0, microsecond=0))
    _ADD_TO_MINUTES[tx.dialect.name].run(tx, minutes)


def _sums(
    window: str, items: Sequence[Charge], begin: Callable[[datetime], datetime]
) -> list[dict[str, Any]]:
    sums = defaultdict[tuple[str, datetime], list[int]](lambda: [0, 0, 0])
    for item in items:
        total = sums[item.user_id, begin(item.at)]
        total[0] += 1
        total[1] += item.recipients
        total[2] += item.octets
    return [
        {"user_id": user_id, window: began, "messages": messages, "recipients": count, "octets": octets}
        for (user_id, began), (messages, count, octets) in sorted(sums.items())
    ]


_WITHIN = {
    table.name: select(
        func.coalesce(func.sum(table.c.messages), 0),
        func.coalesce(func.sum(table.c.recipients), 0),
        func.coalesce(func.sum(table.c.octets), 0),
    ).where(table.c.user_id == bindparam("user_id"), began >= bindparam("since"), began < bindparam("until"))
    for table, began in ((usage, usage.c.hour), (usage_minutes, usage_minutes.c.minute))
}


def used_in(tx: Connection, user_id: str, window: Window, now: datetime) -> Usage:
    """Return what the user sent in the window that *now* lies in."""
    table = usage_minutes if window is Window.MINUTE else usage
    # To its end: what was counted while the clock was ahead is of another window.
    within = {"user_id": user_id, "since": window.begin(now), "until": window.end(now)}
    messages, recipients, octets = tx.execute(_WITHIN[table.name], within).one()
    return Usage(int(messages), int(recipients), int(octets))


_LOCK = (
    select(users.c.id)
    .where(users.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(users.c.id)
    .with_for_update(key_share=True)
)


def lock(tx: Connection, user_ids: Collection[str]) -> None:
    """Let no other transaction count for these users until this one ends, if it locks them, too."""
    tx.execute(_LOCK, {"ids": sorted(user_ids)})


def forget_minutes(tx: Connection, before: datetime) -> None:
    """Delete what was counted for minutes that began before that."""
    tx.execute(delete(usage_minutes).where(usage_minutes.c.minute < before))


def used_since(tx: Connection, since: datetime) -> Mapping[str, Usage]:
    """Return what each user sent in the hours that began at *since* or later, of those who sent anything."""
    totals = (
        select(
            usage.c.user_id,
            func.sum(usage.c.messages).label("messages"),
            func.sum(usage.c.recipients).label("recipients"),
            func.sum(usage.c.octets).label("octets"),
        )
        .where(usage.c.hour >= since)
        .group_by(usage.c.user_id)
    )
    # PostgreSQL sums integers to a decimal number
    return {
        row.user_id: Usage(int(row.messages), int(row.recipients), int(row.octets))
        for row in tx.execute(totals)
    }
