"""What an operator can do to mail in the queue: try it now, hold it, let it go, cancel, reroute, prioritise.

Each moves at most `AT_MOST` deliveries, so that no order, however large, keeps mail from being
accepted; whoever means more calls again until fewer are moved.  A delivery that a process has in
its hands at the moment is left alone by all of them, and so are recipients whom nobody means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, or_, update

from relay.db.batch import Batch
from relay.db.tables import deliveries, recipients
from relay.mail.priority import Priority
from relay.queue.conditions import IS_HELD, IS_QUEUED, IS_RESTING, IS_SCHEDULED, IS_WAITING
from relay.queue.items import DeliveryKey
from relay.queue.leasing import END, OF_KEY, drop_finished, params
from relay.queue.orders import Order, find
from relay.queue.rank import rank_at
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState, RecipientState
from relay.settings import Settings

AT_MOST = 1000
_COLUMNS = (deliveries.c.message_id, deliveries.c.part, deliveries.c.priority, deliveries.c.due_at)


@dataclass(frozen=True, slots=True)
class RetryNow:
    """Make waiting deliveries due at once.

    Scheduled mail is among them only where messages are named: nobody who wants everything tried again
    means to send what its sender wants sent later (RFC 4865 §4).
    """

    selection: Selection
    now: datetime
    settings: Settings

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return IS_WAITING if self.selection.message_ids is not None else IS_WAITING & ~IS_SCHEDULED


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop deliveries until they are released; `reason` is shown with each."""

    selection: Selection
    reason: str

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return or_(IS_QUEUED, IS_WAITING)


@dataclass(frozen=True, slots=True)
class ReleaseHeld:
    """Let held deliveries go their way; those that are scheduled for later wait for it."""

    selection: Selection
    now: datetime

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return IS_HELD


@dataclass(frozen=True, slots=True)
class Cancel:
    """End deliveries for good, without a bounce; `reason` is what is remembered of each recipient."""

    selection: Selection
    now: datetime
    reason: str

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return IS_RESTING


@dataclass(frozen=True, slots=True)
class Reroute:
    """Send deliveries by another route from now on; when they are due does not change."""

    selection: Selection
    route_id: str

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return IS_RESTING & (deliveries.c.route_id != self.route_id)


@dataclass(frozen=True, slots=True)
class Prioritise:
    """Give deliveries another priority, and the place among others that goes with it."""

    selection: Selection
    priority: Priority
    settings: Settings

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return IS_RESTING & (deliveries.c.priority != int(self.priority))


_RETRY = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(state=DeliveryState.QUEUED, due_at=bindparam("at"), rank_at=bindparam("ranked_at"), reason=None)
)
_MOVE = Batch(update(deliveries).where(OF_KEY).values(state=bindparam("to_state"), reason=bindparam("why")))
_REROUTE = Batch(update(deliveries).where(OF_KEY).values(route_id=bindparam("by_route")))
_PRIORITISE = Batch(
    update(deliveries).where(OF_KEY).values(priority=bindparam("level"), rank_at=bindparam("ranked_at"))
)
_CANCEL = Batch(
    update(recipients)
    .where(
        recipients.c.message_id == bindparam("of_message"),
        recipients.c.part == bindparam("of_part"),
        recipients.c.state == RecipientState.OPEN,
    )
    .values(state=RecipientState.CANCELLED, reply=bindparam("why"), settled_at=bindparam("at"))
)


def retry_now(tx: Connection, items: Sequence[RetryNow]) -> list[int]:
    """Queue waiting deliveries; return how many, for each order."""
    return [_retry_now(tx, item) for item in items]


def _retry_now(tx: Connection, item: RetryNow) -> int:
    found = _find(tx, item)
    _RETRY.run(
        tx,
        [
            params(key, at=item.now, ranked_at=rank_at(item.now, priority, item.settings))
            for key, (priority, _) in found.items()
        ],
    )
    return len(found)


def hold(tx: Connection, items: Sequence[Hold]) -> list[int]:
    """Hold deliveries; return how many, for each order."""
    return [_hold(tx, item) for item in items]


def _hold(tx: Connection, item: Hold) -> int:
    found = _find(tx, item)
    _MOVE.run(tx, [params(key, to_state=DeliveryState.HELD, why=item.reason) for key in found])
    return len(found)


def release_held(tx: Connection, items: Sequence[ReleaseHeld]) -> list[int]:
    """Release held deliveries; return how many, for each order."""
    return [_release_held(tx, item) for item in items]


def _release_held(tx: Connection, item: ReleaseHeld) -> int:
    found = _find(tx, item)
    _MOVE.run(
        tx,
        [
            params(
                key, to_state=DeliveryState.WAITING if due_at > item.now else DeliveryState.QUEUED, why=None
            )
            for key, (_, due_at) in found.items()
        ],
    )
    return len(found)


def cancel(tx: Connection, items: Sequence[Cancel]) -> list[int]:
    """Cancel deliveries; return how many, for each order."""
    return [_cancel(tx, item) for item in items]


def _cancel(tx: Connection, item: Cancel) -> int:
    found = _find(tx, item)
    _CANCEL.run(tx, [params(key, why=item.reason, at=item.now) for key in found])
    END.run(tx, [params(key) for key in found])
    drop_finished(tx, {key.message_id for key in found})
    return len(found)


def reroute(tx: Connection, items: Sequence[Reroute]) -> list[int]:
    """Send deliveries another way; return how many, for each order."""
    return [_reroute(tx, item) for item in items]


def _reroute(tx: Connection, item: Reroute) -> int:
    found = _find(tx, item)
    _REROUTE.run(tx, [params(key, by_route=item.route_id) for key in found])
    return len(found)


def prioritise(tx: Connection, items: Sequence[Prioritise]) -> list[int]:
    """Give deliveries another priority; return how many, for each order."""
    return [_prioritise(tx, item) for item in items]


def _prioritise(tx: Connection, item: Prioritise) -> int:
    found = _find(tx, item)
    _PRIORITISE.run(
        tx,
        [
            params(key, level=int(item.priority), ranked_at=rank_at(due_at, item.priority, item.settings))
            for key, (_, due_at) in found.items()
        ],
    )
    return len(found)


def _find(tx: Connection, order: Order) -> dict[DeliveryKey, tuple[Priority, datetime]]:
    """Lock and return deliveries, with their priority and when they are due."""
    return {
        DeliveryKey(message_id, part): (Priority(priority), due_at)
        for message_id, part, priority, due_at in find(tx, order, _COLUMNS, AT_MOST)
    }
