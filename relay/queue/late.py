"""What waits so long that its sender is to hear of it: told once, whatever it waits for.

Tried in vain or not tried at all because its upstream is down: to the sender it is the same.  Each
delivery has the moment, if anybody asked for it, and loses it in the transaction that accepts the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from relay.db.tables import deliveries
from relay.queue.accept import accept
from relay.queue.conditions import IS_LATE_UNTOLD
from relay.queue.items import Acceptance, Claimed, DeliveryKey, Lease
from relay.queue.leasing import LEASABLE, OF_KEY, claimed_of, open_recipients, params


@dataclass(frozen=True, slots=True)
class Late:
    """A delivery that waits beyond the moment that its sender had in mind.

    `claimed` is in nobody's hands, its lease means nothing.
    """

    claimed: Claimed
    late_at: datetime


@dataclass(frozen=True, slots=True)
class LateTold:
    """The moment of a delivery is over, with the *report* of it; None: nobody is to be told."""

    key: DeliveryKey
    late_at: datetime
    report: Acceptance | None


_NOW = bindparam("now", type_=deliveries.c.late_at.type)
_LATE = (
    select(*LEASABLE, deliveries.c.late_at)
    .where(IS_LATE_UNTOLD, deliveries.c.late_at <= _NOW)
    .order_by(deliveries.c.late_at)
    .limit(bindparam("limit"))
)
_TOLD = (
    update(deliveries)
    .where(OF_KEY, IS_LATE_UNTOLD, deliveries.c.late_at == bindparam("seen", type_=deliveries.c.late_at.type))
    .values(late_at=None)
)


def find_late(tx: Connection, now: datetime, limit: int) -> list[Late]:
    """Return deliveries that wait and whose sender is to hear of it, up to *limit*: a mere read."""
    rows = tx.execute(_LATE, {"now": now, "limit": limit}).all()
    if not rows:
        return []
    message_ids = {row.message_id for row in rows}
    found = claimed_of(tx, rows, open_recipients(tx, message_ids), Lease("nobody", now))
    late_at = {DeliveryKey(row.message_id, row.part): row.late_at for row in rows}
    return [Late(each, late_at[each.key]) for each in found]


def tell_late(tx: Connection, items: Sequence[LateTold]) -> list[bool]:
    """Accept the reports of what is late; False for each that waits no longer, or was told of by another."""
    told = [tx.execute(_TOLD, params(item.key, seen=item.late_at)).rowcount == 1 for item in items]
    accept(tx, [item.report for item, is_mine in zip(items, told, strict=True) if is_mine and item.report])
    return told
