"""What was last said about deliveries that are not in an attempt: for reports that nothing new caused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select

from relay.db.tables import attempts, deliveries, messages, recipients
from relay.mail.reply import Reply
from relay.queue import granted
from relay.queue.items import DeliveryKey
from relay.queue.states import DeliveryState, RecipientState
from relay.queue.stops import load_stops
from relay.queue.waiting import Standing, Surroundings, Why, explain
from relay.routing.routes import RoutingTable
from relay.routing.standing import load_stands


@dataclass(frozen=True, slots=True)
class LastWords:
    """What is known of a delivery: `replies` by the number of each recipient still open that was tried.

    `remote` is with whom the last attempt was made, "host [address]:port", and `tried_at` when it ended;
    None: there was none.  `why` is what keeps it otherwise, in a sentence.  `is_of_stranger`: it is held,
    for its sender is not its user's, and whoever that is must not get a report on it.
    """

    why: str
    replies: Mapping[int, Reply]
    remote: str | None = None
    tried_at: datetime | None = None
    is_of_stranger: bool = False


_AMONG: BindParameter[Any] = bindparam("message_ids", expanding=True)
_DELIVERIES = select(
    deliveries.c.message_id,
    deliveries.c.part,
    deliveries.c.state,
    deliveries.c.route_id,
    deliveries.c.due_at,
    deliveries.c.attempts,
    deliveries.c.reason,
    messages.c.user_id,
    messages.c.user_name,
    messages.c.sender,
).join_from(deliveries, messages)
_REPLIES = select(recipients.c.message_id, recipients.c.number, recipients.c.reply).where(
    recipients.c.message_id.in_(_AMONG),
    recipients.c.state == RecipientState.OPEN,  # others may have had their end from an operator's words
    recipients.c.reply.is_not(None),
)
_ATTEMPTS = (
    select(attempts.c.message_id, attempts.c.part, attempts.c.remote, attempts.c.finished_at)
    .where(attempts.c.message_id.in_(_AMONG), attempts.c.upstream.is_not(None))
    .order_by(attempts.c.number)
)
_IN_LINE = frozenset({Why.NEXT, Why.BEHIND})


def last_words(
    tx: Connection, keys: Sequence[DeliveryKey], routing: RoutingTable, now: datetime
) -> Mapping[DeliveryKey, LastWords]:
    """Return what was last said about each of these deliveries, and why it waits as things stand."""
    if not keys:
        return {}
    among = {"message_ids": sorted({key.message_id for key in keys})}
    replies: dict[str, dict[int, Reply]] = {message_id: {} for message_id in among["message_ids"]}
    for message_id, number, reply in tx.execute(_REPLIES, among):
        replies[message_id][number] = Reply.parse(int(reply[:3]), [reply[4:]])
    tried = {DeliveryKey(row.message_id, row.part): row for row in tx.execute(_ATTEMPTS, among)}
    around = Surroundings(now, load_stops(tx), routing, load_stands(tx, now))
    found: dict[DeliveryKey, LastWords] = {}
    for row in tx.execute(_DELIVERIES.where(deliveries.c.message_id.in_(_AMONG)), among):
        key = DeliveryKey(row.message_id, row.part)
        last = tried.get(key)
        remote, tried_at = (last.remote, last.finished_at) if last else (None, None)
        is_of_stranger = granted.is_of_stranger(
            tx, user=row.user_name, sender=row.sender, reason=row.reason, now=now
        )
        found[key] = LastWords(
            _why(row, around), replies[key.message_id], remote, tried_at, is_of_stranger=is_of_stranger
        )
    return {key: found[key] for key in keys if key in found}


def _why(row: Any, around: Surroundings) -> str:
    """Why it waits, as its story tells; with nothing in the way, what was noted last."""
    # Whoever has it in hand only now looks at it because its time is over.
    state = DeliveryState.QUEUED if row.state is DeliveryState.LEASED else row.state
    one = Standing(state, row.route_id, row.due_at, row.attempts, reason=row.reason, user_id=row.user_id)
    waiting = explain(one, around)
    return (row.reason or "It waits for its turn") if waiting.why in _IN_LINE else waiting.sentence
