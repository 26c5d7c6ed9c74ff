"""Cutting a delivery that a process has in its hands into several, untried.

What goes to each domain's own servers needs a delivery for each: it then waits, is tried again and
ends without regard to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from relay.db.batch import Batch
from relay.db.tables import deliveries, recipients
from relay.queue.claim import Release, release
from relay.queue.items import Claimed
from relay.queue.leasing import OF_KEY, lock_messages, params
from relay.queue.states import RecipientState


@dataclass(frozen=True, slots=True)
class Split:
    """The recipients of a delivery, by number, in groups; the first group stays in it."""

    claimed: Claimed
    groups: tuple[tuple[int, ...], ...]
    reason: str


_INHERITED = (
    "message_id",
    "route_id",
    "state",
    "priority",
    "due_at",
    "rank_at",
    "expires_at",
    "attempts",
    "reason",
    "late_at",
)
_BEAR = insert(deliveries).from_select(
    ["part", *_INHERITED],
    select(bindparam("new_part", type_=deliveries.c.part.type), *(deliveries.c[n] for n in _INHERITED)).where(
        OF_KEY
    ),
)
_MOVE = Batch(
    update(recipients)
    .where(
        recipients.c.message_id == bindparam("of_message"),
        recipients.c.number == bindparam("of_number"),
        recipients.c.part == bindparam("of_part"),
        recipients.c.state == RecipientState.OPEN,
    )
    .values(part=bindparam("new_part")),
    apart=("of_message", "of_number"),
)


def split(tx: Connection, items: Sequence[Split]) -> list[bool]:
    """Give deliveries back, a group in each; False for each whose lease was lost, which stays as it is."""
    held = release(tx, [Release(item.claimed, item.reason) for item in items])
    ours = [item for item, is_ours in zip(items, held, strict=True) if is_ours]
    last_part: dict[str, int] = {}
    for message_id, part in lock_messages(tx, {item.claimed.key.message_id for item in ours}):
        last_part[message_id] = max(part, last_part.get(message_id, 0))
    born, moved = [], []
    for item in ours:
        key = item.claimed.key
        for group in item.groups[1:]:
            last_part[key.message_id] += 1
            row = params(key, new_part=last_part[key.message_id])
            born.append(row)
            moved += [row | {"of_number": number} for number in group]
    if born:
        tx.execute(_BEAR, born)
    _MOVE.run(tx, moved)
    return held
