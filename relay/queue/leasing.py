"""What claiming, settling and tidying up have in common: rows locked, leased, and made into values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Row, bindparam, select, update

from relay.db.among import Among
from relay.db.batch import Batch
from relay.db.tables import deliveries, messages, recipients
from relay.mail.envelope import Recipient
from relay.mail.priority import Priority
from relay.queue.content import drop_contents, read_contents
from relay.queue.envelopes import address_of, envelope_of
from relay.queue.items import Claimed, DeliveryKey, Lease, Origin
from relay.queue.states import DeliveryState, RecipientState

BRINGS_ALONG_OCTETS = 256 * 1024
"""A content up to this size comes with the claim; a larger one is read when it is sent."""

Record = Row[*tuple[Any, ...]]

LEASABLE = (
    deliveries.c.message_id,
    deliveries.c.part,
    deliveries.c.route_id,
    deliveries.c.priority,
    deliveries.c.rank_at,
    deliveries.c.expires_at,
    deliveries.c.attempts,
)
"""What `lease_rows` wants to know of each delivery."""

_AMONG: BindParameter[Any] = bindparam("message_ids", expanding=True)

_LOCK_ALL_OF = Among(
    lambda ids: (
        select(
            deliveries.c.message_id,
            deliveries.c.part,
            deliveries.c.state,
            deliveries.c.leased_by,
            deliveries.c.attempts,
            deliveries.c.copied_to,
        )
        .where(deliveries.c.message_id.in_(ids))
        # In one order, so that two processes cannot wait for each other.
        .order_by(deliveries.c.message_id, deliveries.c.part)
        .with_for_update()
    )
)
OF_KEY = (deliveries.c.message_id == bindparam("of_message")) & (deliveries.c.part == bindparam("of_part"))
_LEASE = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(
        state=DeliveryState.LEASED,
        attempts=deliveries.c.attempts + 1,
        leased_by=bindparam("owner"),
        leased_until=bindparam("until"),
    )
)
END = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(state=DeliveryState.DONE, leased_by=None, leased_until=None, reason=None),
    apart=("of_message", "of_part"),
)
_MESSAGES = select(
    messages.c.id,
    messages.c.accepted_at,
    messages.c.origin,
    messages.c.user_id,
    messages.c.sender,
    messages.c.octets,
    messages.c.body,
    messages.c.smtputf8,
    messages.c.options,
).where(messages.c.id.in_(_AMONG))
_OPEN_RECIPIENTS = (
    select(
        recipients.c.message_id,
        recipients.c.number,
        recipients.c.part,
        recipients.c.address,
        recipients.c.notify,
        recipients.c.orcpt,
    )
    .where(recipients.c.message_id.in_(_AMONG), recipients.c.state == RecipientState.OPEN)
    .order_by(recipients.c.message_id, recipients.c.number)
)


class Standing(NamedTuple):
    """Where a delivery stands, as long as this transaction lasts."""

    state: DeliveryState
    leased_by: str | None
    attempts: int
    copied_to: str | None


def lock_messages(tx: Connection, message_ids: Collection[str]) -> dict[DeliveryKey, Standing]:
    """Return how every delivery of these messages stands, and let nobody else change it meanwhile."""
    return {
        DeliveryKey(message_id, part): Standing(DeliveryState(state), leased_by, attempts, copied_to)
        for message_id, part, state, leased_by, attempts, copied_to in _LOCK_ALL_OF.run(tx, message_ids)
    }


def is_held(standing: Mapping[DeliveryKey, Standing], claimed: Claimed) -> bool:
    """Whether the lease that *claimed* came with is still in force."""
    stands = standing.get(claimed.key)
    return stands is not None and stands[:3] == (DeliveryState.LEASED, claimed.lease.owner, claimed.number)


def params(key: DeliveryKey, **values: Any) -> dict[str, Any]:
    """Return what a statement with `OF_KEY` is run with for the delivery *key*."""
    return {"of_message": key.message_id, "of_part": key.part, **values}


def lease_rows(tx: Connection, rows: Sequence[Record], lease: Lease) -> list[Claimed]:
    """Give deliveries that this transaction has locked to a process, the most urgent first.

    Those whose recipients all have their end already (a process settled them after its lease ran
    out) have nothing left to do, and are done.
    """
    if not rows:
        return []
    recipients_of = open_recipients(tx, {row.message_id for row in rows})
    keys = [DeliveryKey(row.message_id, row.part) for row in rows]
    to_do = [key for key in keys if key in recipients_of]
    if len(to_do) < len(keys):
        done = [key for key in keys if key not in recipients_of]
        END.run(tx, [params(key) for key in done])
        drop_finished(tx, {key.message_id for key in done})
    if not to_do:
        return []
    _LEASE.run(tx, [params(key, owner=lease.owner, until=lease.until) for key in to_do])
    return claimed_of(tx, rows, recipients_of, lease)


def claimed_of(
    tx: Connection,
    rows: Sequence[Record],
    recipients_of: Mapping[DeliveryKey, Sequence[Recipient]],
    lease: Lease,
) -> list[Claimed]:
    """Make values of those deliveries that have recipients left, the most urgent first."""
    message_ids = {row.message_id for row in rows}
    message_of = {row.id: row for row in tx.execute(_MESSAGES, {"message_ids": list(message_ids)})}
    contents = read_contents(
        tx, [message.id for message in message_of.values() if message.octets <= BRINGS_ALONG_OCTETS]
    )
    claimed = [
        _claimed(row, message_of[row.message_id], recipients_of[key], contents.get(row.message_id), lease)
        for row in rows
        if (key := DeliveryKey(row.message_id, row.part)) in recipients_of
    ]
    return sorted(claimed, key=lambda one: one.rank_at)


def open_recipients(tx: Connection, message_ids: Collection[str]) -> dict[DeliveryKey, list[Recipient]]:
    """Return the recipients of these messages that have no end yet, by delivery."""
    found = defaultdict[DeliveryKey, list[Recipient]](list)
    for message_id, number, part, address, notify, orcpt in tx.execute(
        _OPEN_RECIPIENTS, {"message_ids": list(message_ids)}
    ):
        found[DeliveryKey(message_id, part)].append(Recipient(number, address_of(address), notify, orcpt))
    return found


def drop_finished(tx: Connection, message_ids: Collection[str]) -> None:
    """Forget the contents of those of *message_ids* that no delivery needs any more."""
    lock_messages(tx, message_ids)
    drop_contents(tx, message_ids)


def _claimed(
    row: Record, message: Record, recipients: Sequence[Recipient], content: bytes | None, lease: Lease
) -> Claimed:
    return Claimed(
        key=DeliveryKey(row.message_id, row.part),
        number=row.attempts + 1,
        route_id=row.route_id,
        priority=Priority(row.priority),
        rank_at=row.rank_at,
        accepted_at=message.accepted_at,
        expires_at=row.expires_at,
        lease=lease,
        origin=Origin(message.origin),
        user_id=message.user_id,
        octets=message.octets,
        envelope=envelope_of(
            sender=message.sender,
            body=message.body,
            smtputf8=message.smtputf8,
            options=message.options,
            recipients=recipients,
        ),
        content=content,
    )
