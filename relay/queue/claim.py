"""Taking deliveries out of the table for a while: claim, renew, release, take back.

Law 3: wake-ups are hints; the table is the truth.  Whoever looks here finds all that is due, so
losing every hint costs seconds, never mail.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, update

from relay.db.batch import Batch
from relay.db.tables import deliveries, messages
from relay.queue.conditions import IS_LEASED, IS_QUEUED
from relay.queue.items import Claimed, DeliveryKey, Lease
from relay.queue.leasing import LEASABLE, OF_KEY, is_held, lease_rows, lock_messages, params
from relay.queue.states import DeliveryState

LEASE = timedelta(minutes=2)
"""How long a process may be silent before others take its deliveries; it renews well before."""

_AT_MOST = 1000  # leases taken back at once, so that the writer is never busy with it for long


@dataclass(frozen=True, slots=True)
class ClaimOrder:
    """What *owner* has room for: by route, how many deliveries, but none of the users `but_of`."""

    owner: str
    now: datetime
    lease: timedelta
    wanted: Mapping[str, int]
    but_of: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Renewal:
    """*owner* still works on these, and will for a while."""

    owner: str
    keys: Collection[DeliveryKey]
    until: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """Gives a delivery back untried, and says why; not to be taken before `due_at`, if that is set."""

    claimed: Claimed
    reason: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Free what nobody works on: leases that ran out, or all leases of *owner*, known to be dead."""

    now: datetime
    owner: str | None = None


_DUE = (
    select(*LEASABLE)
    .where(IS_QUEUED, deliveries.c.route_id == bindparam("route_id"))
    .order_by(deliveries.c.rank_at)
    .limit(bindparam("limit"))
    # No two processes get the same one: PostgreSQL passes over rows that another transaction has
    # locked; SQLite has one writer and ignores the clause.
    .with_for_update(skip_locked=True)
)
_DUE_BUT_OF = _DUE.where(
    ~select(messages.c.id)
    .where(
        messages.c.id == deliveries.c.message_id,
        messages.c.user_id.in_(bindparam("but_of", expanding=True)),
    )
    .exists()
).with_for_update(of=deliveries, skip_locked=True)
_HELD_BY = select(deliveries.c.message_id, deliveries.c.part).where(
    IS_LEASED, deliveries.c.leased_by == bindparam("owner")
)
_RENEW = Batch(update(deliveries).where(OF_KEY).values(leased_until=bindparam("until")))
_RELEASE = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(
        state=bindparam("to_state"),
        due_at=func.coalesce(bindparam("until", type_=deliveries.c.due_at.type), deliveries.c.due_at),
        reason=bindparam("why"),
        attempts=deliveries.c.attempts - 1,
        leased_by=None,
        leased_until=None,
    )
)
_TAKEN_BACK = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(
        state=DeliveryState.QUEUED,
        reason="the process that had it stopped without a word",
        leased_by=None,
        leased_until=None,
    )
)


def claim_due(tx: Connection, orders: Sequence[ClaimOrder]) -> list[list[Claimed]]:
    """Lease due deliveries, most urgent first, up to what each order has room for on each route."""
    return [_claim(tx, order) for order in orders]


def _claim(tx: Connection, order: ClaimOrder) -> list[Claimed]:
    statement, stopped = (_DUE_BUT_OF, {"but_of": list(order.but_of)}) if order.but_of else (_DUE, {})
    due = [
        row
        for route_id, limit in order.wanted.items()
        for row in tx.execute(statement, {"route_id": route_id, "limit": limit, **stopped})
    ]
    return lease_rows(tx, due, Lease(order.owner, order.now + order.lease))


def renew(tx: Connection, items: Sequence[Renewal]) -> list[frozenset[DeliveryKey]]:
    """Prolong leases; return for each item those that are not its owner's any more."""
    return [_renew(tx, item) for item in items]


def _renew(tx: Connection, item: Renewal) -> frozenset[DeliveryKey]:
    held = {DeliveryKey(*row) for row in tx.execute(_HELD_BY.with_for_update(), {"owner": item.owner})}
    _RENEW.run(tx, [params(key, until=item.until) for key in item.keys if key in held])
    return frozenset(item.keys) - held


def release(tx: Connection, items: Sequence[Release]) -> list[bool]:
    """Give deliveries back untried; False for each whose lease was lost, which stays as it is."""
    standing = lock_messages(tx, {item.claimed.key.message_id for item in items})
    held = [is_held(standing, item.claimed) for item in items]
    if rows := [
        params(
            item.claimed.key,
            to_state=DeliveryState.QUEUED if item.due_at is None else DeliveryState.WAITING,
            until=item.due_at,
            why=item.reason,
        )
        for item, is_ours in zip(items, held, strict=True)
        if is_ours
    ]:
        _RELEASE.run(tx, rows)
    return held


def take_back(tx: Connection, items: Sequence[TakeBack]) -> list[int]:
    """Queue again what nobody works on; return how many deliveries, at most 1000, for each item."""
    return [_take_back(tx, item) for item in items]


def _take_back(tx: Connection, item: TakeBack) -> int:
    lost = (
        select(deliveries.c.message_id, deliveries.c.part)
        .where(IS_LEASED)
        .limit(_AT_MOST)
        .with_for_update(skip_locked=True)
    )
    if item.owner is None:
        lost = lost.where(deliveries.c.leased_until <= item.now)
    else:
        lost = lost.where(deliveries.c.leased_by == item.owner)
    keys = [DeliveryKey(*row) for row in tx.execute(lost)]
    _TAKEN_BACK.run(tx, [params(key) for key in keys])
    return len(keys)
