"""The steps that stories about the queue are made of, each in a transaction of its own."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, select

from relay.db.tables import deliveries, recipients
from relay.queue.accept import accept
from relay.queue.claim import ClaimOrder, claim_due
from relay.queue.items import Acceptance, Claimed, DeliveryKey, Lease, Part, Settlement
from relay.queue.settle import settle
from relay.queue.states import DeliveryState, RecipientState
from tests.kit.clock import NOON
from tests.kit.makers import ROUTE

Item = TypeVar("Item")
Result = TypeVar("Result")

OWNER = "node/1"
OTHER = "node/2"
LEASE = timedelta(minutes=2)


def run(
    engine: Engine, function: Callable[[Connection, Sequence[Item]], Sequence[Result]], *items: Item
) -> list[Result]:
    """Call a write of the queue with all *items* in one transaction."""
    with engine.begin() as tx:
        return list(function(tx, items))


def lease(owner: str = OWNER, at: datetime = NOON) -> Lease:
    return Lease(owner, at + LEASE)


def keep(engine: Engine, *messages: Acceptance) -> list[str]:
    return run(engine, accept, *messages)


def claim(
    engine: Engine, owner: str = OWNER, *, at: datetime = NOON, limit: int = 100, route_id: str = ROUTE
) -> list[Claimed]:
    (claimed,) = run(engine, claim_due, ClaimOrder(owner, at, LEASE, {route_id: limit}))
    return claimed


def claim_one(engine: Engine, owner: str = OWNER, *, at: datetime = NOON) -> Claimed:
    (claimed,) = claim(engine, owner, at=at)
    return claimed


def in_hand(message: Acceptance, part: Part, lease: Lease) -> Claimed:
    """The delivery as the accepting process itself has it."""
    mine = tuple(r for r in message.envelope.recipients if r.number in part.recipients)
    return Claimed(
        key=DeliveryKey(message.id, part.part),
        number=1,
        route_id=part.route_id,
        priority=message.priority,
        rank_at=part.rank_at,
        accepted_at=message.accepted_at,
        expires_at=message.expires_at,
        lease=lease,
        origin=message.origin,
        user_id=message.session.user_id if message.session else None,
        octets=len(message.content),
        envelope=message.envelope._replace(recipients=mine),
        content=message.content,
    )


def finish(engine: Engine, *settlements: Settlement) -> list[bool]:
    """Settle; whether each lease was still in force."""
    return [settled.is_ours for settled in run(engine, settle, *settlements)]


def states(engine: Engine) -> dict[DeliveryKey, DeliveryState]:
    """How every delivery stands."""
    with engine.connect() as tx:
        rows = tx.execute(select(deliveries.c.message_id, deliveries.c.part, deliveries.c.state))
        return {DeliveryKey(message_id, part): state for message_id, part, state in rows}


def last_parts(engine: Engine) -> dict[str, int]:
    """The highest number of a delivery, by message."""
    return {key.message_id: key.part for key in sorted(states(engine))}


def state(engine: Engine) -> DeliveryState:
    """How the only delivery stands."""
    (only,) = states(engine).values()
    return only


def recipient_states(engine: Engine, message_id: str) -> list[RecipientState]:
    with engine.connect() as tx:
        return list(
            tx.execute(
                select(recipients.c.state)
                .where(recipients.c.message_id == message_id)
                .order_by(recipients.c.number)
            ).scalars()
        )


def row(engine: Engine, table: Any, **values: Any) -> Any:
    """The only row of *table* (with these values)."""
    with engine.connect() as tx:
        return tx.execute(select(table).filter_by(**values)).one()


def count(engine: Engine, table: Any) -> int:
    with engine.connect() as tx:
        return len(tx.execute(select(table)).all())
