"""Which relay processes live: each writes down now and then that it does.

Limits that hold for the whole product are divided by their number; nothing else depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select

from relay.db.tables import nodes
from relay.db.upsert import insert_for

HEARTBEAT = timedelta(seconds=10)
DEAD_AFTER = 3 * HEARTBEAT


class Beat(NamedTuple):
    """The process *owner*, begun at *started_at*, lives at *now*."""

    owner: str
    started_at: datetime
    now: datetime


def beat(tx: Connection, items: Sequence[Beat]) -> list[int]:
    """Note each process as living; return how many live in all, for each item."""
    statement = insert_for(tx, nodes)
    note = statement.on_conflict_do_update(
        index_elements=[nodes.c.owner],
        set_={"started_at": statement.excluded.started_at, "seen_at": statement.excluded.seen_at},
    )
    tx.execute(
        note, [{"owner": item.owner, "started_at": item.started_at, "seen_at": item.now} for item in items]
    )
    return [_count_living(tx, item.now) for item in items]


def leave(tx: Connection, owners: Sequence[str]) -> list[None]:
    """Strike out processes that stopped in order."""
    tx.execute(delete(nodes).where(nodes.c.owner == bindparam("gone")), [{"gone": owner} for owner in owners])
    return [None] * len(owners)


def _count_living(tx: Connection, now: datetime) -> int:
    living = select(func.count()).select_from(nodes).where(nodes.c.seen_at > now - DEAD_AFTER)
    return tx.execute(living).scalar_one()
