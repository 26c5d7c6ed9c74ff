"""Those for whom a transaction had no room go on at once, in deliveries of their own.

They were not tried.  So they wait neither for a retry nor for those of the transaction that do; and what
happens to them from here on counts for them alone (RFC 5321 §4.5.3.1.10).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from sqlalchemy import Connection, bindparam, func, insert, literal, select, update

from relay.db.batch import Batch
from relay.db.tables import deliveries, recipients
from relay.queue.items import DeliveryKey, Settlement
from relay.queue.leasing import OF_KEY, params
from relay.queue.states import DeliveryState, RecipientState

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
        literal(DeliveryState.QUEUED, deliveries.c.state.type),
        literal(0),
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
    .values(part=bindparam("to_part"), reply=bindparam("said")),
    apart=("of_message", "of_number"),
)


def split_off(tx: Connection, items: Sequence[Settlement]) -> None:
    """Give each group that *items* `left` a delivery as urgent as theirs, with its place among others.

    The leases of *items* are in force and their messages locked (see `lock_messages`), so that nobody
    else numbers parts of them meanwhile.
    """
    if not items:
        return
    # Asked only now: what another process split off while the lock was waited for was not there to be locked.
    last = tx.execute(_LAST_PARTS, {"message_ids": list({item.claimed.key.message_id for item in items})})
    numbers = {message_id: count(part + 1) for message_id, part in last}
    for item in items:
        key = item.claimed.key
        for group in item.left:
            new = DeliveryKey(key.message_id, next(numbers[key.message_id]))
            tx.execute(_SPLIT_OFF, params(key, new_part=new.part, why=str(group[0].reply)))
            _MOVE.run(
                tx,
                [
                    {
                        "of_message": key.message_id,
                        "of_number": outcome.number,
                        "to_part": new.part,
                        "said": str(outcome.reply),
                    }
                    for outcome in group
                ],
            )
