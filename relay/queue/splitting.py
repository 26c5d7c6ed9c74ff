"""Recipients that go on in a delivery of their own.

What happens to them from here on counts for them alone, and they wait for none of those that they were
together with: those for whom a transaction had no room, those at another domain where each domain has
servers of its own, and those whom an operator means and not the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from relay.db.batch import Batch
from relay.db.tables import deliveries, recipients
from relay.queue.claim import Release, release
from relay.queue.items import Claimed, DeliveryKey
from relay.queue.leasing import OF_KEY, params
from relay.queue.states import DeliveryState, RecipientState


class Group(NamedTuple):
    """Recipients of a delivery, by number, who get one of their own: how it stands, and why.

    `tried` says how many tries count for them: of a delivery in somebody's hands all but the one that
    they are split off from.
    """

    of: DeliveryKey
    numbers: tuple[int, ...]
    tried: int
    reason: str | None
    state: DeliveryState = DeliveryState.QUEUED


class Split(NamedTuple):
    """The recipients of a delivery in somebody's hands, by number, in groups; the first stays in it."""

    claimed: Claimed
    groups: tuple[tuple[int, ...], ...]
    reason: str


_LAST_PARTS = (
    select(deliveries.c.message_id, func.max(deliveries.c.part))
    .where(deliveries.c.message_id.in_(bindparam("message_ids", expanding=True)))
    .group_by(deliveries.c.message_id)
)
_KEPT = ("message_id", "route_id", "priority", "due_at", "rank_at", "expires_at", "late_at")
_SPLIT_OFF = insert(deliveries).from_select(
    [*_KEPT, "part", "state", "attempts", "reason"],
    select(
        *(deliveries.c[name] for name in _KEPT),
        bindparam("new_part", type_=deliveries.c.part.type),
        bindparam("stands", type_=deliveries.c.state.type),
        bindparam("tried", type_=deliveries.c.attempts.type),
        bindparam("why", type_=deliveries.c.reason.type),
    ).where(OF_KEY),
)
_MOVE = Batch(
    update(recipients)
    .where(
        recipients.c.message_id == bindparam("of_message"),
        recipients.c.number == bindparam("of_number"),
        recipients.c.state == RecipientState.OPEN,
    )
    .values(part=bindparam("new_part")),
    apart=("of_message", "of_number"),
)


def split_off(tx: Connection, groups: Sequence[Group]) -> list[DeliveryKey]:
    """Give each group a delivery, due when the old one was, as urgent, in its place among others.

    The caller holds the lease of each, or knows that nobody does, and has the messages locked (see
    `lock_messages`), so that nobody else numbers parts of them meanwhile.
    """
    if not groups:
        return []
    # Asked only now: what another process split off while the lock was waited for was not there to be locked.
    last = tx.execute(_LAST_PARTS, {"message_ids": list({group.of.message_id for group in groups})})
    numbers = {message_id: count(part + 1) for message_id, part in last}
    born = [
        params(
            group.of,
            new_part=next(numbers[group.of.message_id]),
            stands=group.state,
            tried=group.tried,
            why=group.reason,
        )
        for group in groups
    ]
    tx.execute(_SPLIT_OFF, born)
    _MOVE.run(
        tx,
        [
            {"of_message": row["of_message"], "of_number": number, "new_part": row["new_part"]}
            for group, row in zip(groups, born, strict=True)
            for number in group.numbers
        ],
    )
    return [DeliveryKey(row["of_message"], row["new_part"]) for row in born]


def split(tx: Connection, items: Sequence[Split]) -> list[bool]:
    """Give deliveries back, a group in each; False for each whose lease was lost, which stays as it is."""
    held = release(tx, [Release(item.claimed, item.reason) for item in items])
    ours = [item for item, is_ours in zip(items, held, strict=True) if is_ours]
    split_off(
        tx,
        [
            Group(item.claimed.key, group, item.claimed.number - 1, item.reason)
            for item in ours
            for group in item.groups[1:]
        ],
    )
    return held
