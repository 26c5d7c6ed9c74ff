"""What is to be told, kept in the transaction that causes it, so that it is told exactly once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from relay.db.batch import Batch
from relay.db.tables import notice_keys, notices
from relay.db.upsert import insert_for
from relay.ids import moment_of
from relay.queue.items import Notice


@dataclass(frozen=True, slots=True)
class Told:
    """Notice *id* goes out at *at*, in the transaction that marks it."""

    id: str
    at: datetime


_KEY_LENGTH = 512  # of the column

_INSERT = Batch(insert(notices))
_UNTOLD = (
    select(notices)
    .where(notices.c.told_at.is_(None), notices.c.id > bindparam("after"))
    .order_by(notices.c.id)
    .limit(bindparam("limit"))
)
_STILL_UNTOLD = (
    select(notices.c.id)
    .where(notices.c.told_at.is_(None), notices.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(notices.c.id)
    .with_for_update()
)
_MARK = Batch(update(notices).where(notices.c.id == bindparam("notice")).values(told_at=bindparam("at")))


def note(tx: Connection, items: Sequence[Notice]) -> list[bool]:
    """Keep notices to be told; False for each that was left out because its like was noted of late.

    Exact also where several processes note the same thing at once.
    """
    kept = [item.key is None or _comes_again(tx, item.key, item) for item in items]
    _INSERT.run(tx, [_row(item) for item, is_kept in zip(items, kept, strict=True) if is_kept])
    return kept


def _row(item: Notice) -> dict[str, object]:
    return {
        "id": item.id,
        "kind": item.kind,
        "user_id": item.user_id,
        "facts": json.dumps(item.facts),
        "created_at": moment_of(item.id),
    }


def _comes_again(tx: Connection, key: str, item: Notice) -> bool:
    """Whether the last notice with this *key* is long enough ago; if so, *item* is now the last."""
    now = moment_of(item.id)
    statement = insert_for(tx, notice_keys).values(key=key[:_KEY_LENGTH], last_at=now)
    last_at = notice_keys.c.last_at
    claimed = statement.on_conflict_do_update(
        index_elements=[notice_keys.c.key],
        set_={"last_at": now},
        # So far ahead it was noted before the clock was set back.
        where=(last_at <= now - item.interval) | (last_at > now + item.interval),
    ).returning(notice_keys.c.key)
    return tx.execute(claimed).first() is not None


def untold(tx: Connection, limit: int, after: str = "") -> list[Notice]:
    """Return up to *limit* notices that nobody was told yet, the oldest first, from behind *after* on."""
    return [
        Notice(id=row.id, kind=row.kind, user_id=row.user_id, facts=json.loads(row.facts))
        for row in tx.execute(_UNTOLD, {"limit": limit, "after": after})
    ]


def mark_told(tx: Connection, items: Sequence[Told]) -> list[bool]:
    """Mark notices as told; False for each that another process marked before.

    Whoever gets True tells it in this same transaction (by accepting the letter), so that it is
    told once, however many processes looked.
    """
    waiting = set(tx.execute(_STILL_UNTOLD, {"ids": [item.id for item in items]}).scalars())
    marked: list[bool] = []
    for item in items:
        marked.append(item.id in waiting)
        waiting.discard(item.id)
    _MARK.run(
        tx,
        [{"notice": item.id, "at": item.at} for item, is_mine in zip(items, marked, strict=True) if is_mine],
    )
    return marked
