"""What time brings: what waited falls due, what is too old expires, what is long done is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, exists, or_, select, update

from relay.accounts.usage import forget_minutes
from relay.db.batch import Batch
from relay.db.tables import deliveries, messages, notice_keys, notices
from relay.queue.conditions import IS_LATE_UNTOLD, IS_LEASED, IS_RESTING, IS_WAITING
from relay.queue.items import Claimed, DeliveryKey, Lease
from relay.queue.leasing import LEASABLE, OF_KEY, lease_rows, params
from relay.queue.states import ACTIVE, DeliveryState

AT_MOST = 1000
"""How many rows one call touches, so that mail need not wait for it; call again until it is fewer."""

_LONGEST_SILENCE = timedelta(days=30)  # for which a notice may be left out because of an earlier one


@dataclass(frozen=True, slots=True)
class ExpiryOrder:
    """*owner* has room to report *limit* deliveries as given up."""

    owner: str
    now: datetime
    lease: timedelta
    limit: int


_NOW = bindparam("now", type_=deliveries.c.due_at.type)
_FALLEN_DUE = (
    select(deliveries.c.message_id, deliveries.c.part)
    .where(IS_WAITING, deliveries.c.due_at <= _NOW)
    .order_by(deliveries.c.due_at)
    .limit(AT_MOST)
    .with_for_update(skip_locked=True)
)
_PROMOTE = Batch(update(deliveries).where(OF_KEY).values(state=DeliveryState.QUEUED))
_EXPIRED = (
    select(*LEASABLE)
    .where(IS_RESTING, deliveries.c.expires_at <= _NOW)
    .order_by(deliveries.c.expires_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_HAS_DUE = select(
    or_(
        select(deliveries.c.part).where(IS_WAITING, deliveries.c.due_at <= _NOW).exists(),
        select(deliveries.c.part).where(IS_LEASED, deliveries.c.leased_until <= _NOW).exists(),
        select(deliveries.c.part).where(IS_RESTING, deliveries.c.expires_at <= _NOW).exists(),
        select(deliveries.c.part).where(IS_LATE_UNTOLD, deliveries.c.late_at <= _NOW).exists(),
    )
)


def has_due(tx: Connection, now: datetime) -> bool:
    """Whether there is anything for `promote`, `take_back`, `claim_expired` or `find_late`: a read."""
    return bool(tx.execute(_HAS_DUE, {"now": now}).scalar_one())


def promote(tx: Connection, moments: Sequence[datetime]) -> list[int]:
    """Queue what is due at each of *moments*; return how many deliveries."""
    return [_promote(tx, now) for now in moments]


def _promote(tx: Connection, now: datetime) -> int:
    due = [DeliveryKey(*row) for row in tx.execute(_FALLEN_DUE, {"now": now})]
    _PROMOTE.run(tx, [params(key) for key in due])
    return len(due)


def claim_expired(tx: Connection, orders: Sequence[ExpiryOrder]) -> list[list[Claimed]]:
    """Lease deliveries whose time is over, whatever they wait for, to be settled as expired."""
    return [_claim_expired(tx, order) for order in orders]


def _claim_expired(tx: Connection, order: ExpiryOrder) -> list[Claimed]:
    over = tx.execute(_EXPIRED, {"now": order.now, "limit": order.limit}).all()
    return lease_rows(tx, over, Lease(order.owner, order.now + order.lease))


def purge(tx: Connection, moments: Sequence[datetime]) -> list[int]:
    """Forget what ended, of all that began before each of *moments*; return how many messages."""
    return [_purge(tx, before) for before in moments]


def _purge(tx: Connection, before: datetime) -> int:
    is_active = exists().where(deliveries.c.message_id == messages.c.id, deliveries.c.state.in_(ACTIVE))
    finished = (
        select(messages.c.id)
        .where(messages.c.accepted_at < before, ~is_active)
        .order_by(messages.c.accepted_at)
        .limit(AT_MOST)
    )
    gone = tx.execute(delete(messages).where(messages.c.id.in_(finished))).rowcount
    tx.execute(delete(notices).where(notices.c.told_at < before))
    tx.execute(delete(notice_keys).where(notice_keys.c.last_at < before - _LONGEST_SILENCE))
    forget_minutes(tx, before)
    return gone
