"""How much a user sent, counted by the hour in the transaction that accepts the messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from relay.db.batch import Batch
from relay.db.tables import usage


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


def _upsert(insert: Any) -> Any:
    statement = insert(usage)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[usage.c.user_id, usage.c.hour],
        set_={
            "messages": usage.c.messages + fresh.messages,
            "recipients": usage.c.recipients + fresh.recipients,
            "octets": usage.c.octets + fresh.octets,
        },
    )


# INSERT … ON CONFLICT, which both write alike, is spelled apart by SQLAlchemy
_ADD = {"sqlite": Batch(_upsert(sqlite.insert)), "postgresql": Batch(_upsert(postgresql.insert))}


def charge(tx: Connection, items: Sequence[Charge]) -> None:
    """Count *items*: one statement, one row a user and hour, however many messages there are.

    Rows go in one order, so that two processes that charge the same users cannot wait for each other.
    """
    sums = defaultdict[tuple[str, datetime], list[int]](lambda: [0, 0, 0])
    for item in items:
        total = sums[item.user_id, item.at.replace(minute=0, second=0, microsecond=0)]
        total[0] += 1
        total[1] += item.recipients
        total[2] += item.octets
    if sums:
        rows = [
            {"user_id": user_id, "hour": hour, "messages": messages, "recipients": count, "octets": octets}
            for (user_id, hour), (messages, count, octets) in sorted(sums.items())
        ]
        _ADD[tx.dialect.name].run(tx, rows)


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
