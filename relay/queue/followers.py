"""What was made of a message, and what became of that: reports to its sender, copies for archives."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from relay.db.tables import messages, recipients
from relay.queue.items import Origin
from relay.queue.states import RecipientState


class Follower(NamedTuple):
    """A message about another: to whom it goes, and its own end; `reply` is the last word about that."""

    id: str
    origin: Origin
    address: str
    state: RecipientState
    reply: str | None


_ABOUT = (
    select(messages.c.id, messages.c.origin, recipients.c.address, recipients.c.state, recipients.c.reply)
    .join_from(messages, recipients)
    .where(messages.c.about_id == bindparam("about"))
    .order_by(messages.c.id, recipients.c.number)
)


def followers_of(tx: Connection, message_id: str) -> tuple[Follower, ...]:
    """Return the messages about this one, the first to be made first."""
    rows = tx.execute(_ABOUT, {"about": message_id})
    return tuple(Follower(row.id, Origin(row.origin), row.address, row.state, row.reply) for row in rows)
