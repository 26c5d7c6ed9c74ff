"""Taking deliveries out of the table for a while: claim, renew, release, take back.

Law 3: wake-ups are hints; the table is the truth.  Whoever looks here finds all that is due, so
losing every hint costs seconds, never mail.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, tuple_, update

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
    """What *owner* has room for: by route, how many deliveries; only of those `among`, if that is set."""

    owner: str
    now: datetime
    lease: timedelta
    wanted: Mapping[str, int]
    among: Collection[DeliveryKey] | None = None


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


_NOBODY: Mapping[str, Collection[str]] = {}

_DUE = (
    select(*LEASABLE)
    .where(IS_QUEUED, deliveries.c.route_id == bindparam("route_id"))
    .order_by(deliveries.c.rank_at)
    .limit(bindparam("limit"))
    # No two processes get the same one: PostgreSQL passes over rows that another transaction has
    # locked; SQLite has one writer and ignores the clause.
    .with_for_update(skip_locked=True)
)
_DUE_BUT_OF = (
    select(deliveries.c.message_id, deliveries.c.part)
    .where(
        IS_QUEUED,
        deliveries.c.route_id == bindparam("route_id"),
        ~select(messages.c.id)
        .where(
            messages.c.id == deliveries.c.message_id,
            messages.c.user_id.in_(bindparam("users", expanding=True))
            | messages.c.sender.in_(bindparam("senders", expanding=True)),
        )
        .exists(),
    )
    .order_by(deliveries.c.rank_at)
    .limit(bindparam("limit"))
)
_DUE_AMONG = (
    select(*LEASABLE)
    .where(
        IS_QUEUED,
        tuple_(deliveries.c.message_id, deliveries.c.part).in_(bindparam("keys", expanding=True)),
    )
    .with_for_update(skip_locked=True)
)
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


def due_but_of(
    tx: Connection,
    wanted: Mapping[str, int],
    users: Collection[str],
    shunned: Mapping[str, Collection[str]] = _NOBODY,
) -> list[DeliveryKey]:
    """Return what is due of *wanted*, by route, but of none of *users*: a mere read, for `ClaimOrder.among`.

    What senders who are *shunned*, by route, have sent comes only where there is nothing else.  Passing over
    much mail takes its time, and nobody who writes is to wait for that.
    """
    found: list[DeliveryKey] = []
    for route_id, limit in wanted.items():
        known = {"route_id": route_id, "limit": limit, "users": list(users)}
        senders = list(shunned.get(route_id, ()))
        rows = tx.execute(_DUE_BUT_OF, known | {"senders": senders}).all()
        if senders and not rows:
            rows = tx.execute(_DUE_BUT_OF, known | {"senders": []}).all()
        found += [DeliveryKey(*row) for row in rows]
    return found


def claim_due(tx: Connection, orders: Sequence[ClaimOrder]) -> list[list[Claimed]]:
    """Lease due deliveries, most urgent first, up to what each order has room for on each route."""
    return [_claim(tx, order) for order in orders]


def _claim(tx: Connection, order: ClaimOrder) -> list[Claimed]:
    if order.among is not None:
        found = tx.execute(_DUE_AMONG, {"keys": [tuple(key) for key in order.among]})
        due = [row for row in found if row.route_id in order.wanted]
    else:
        due = [
            row
            for route_id, limit in order.wanted.items()
            for row in tx.execute(_DUE, {"route_id": route_id, "limit": limit})
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
