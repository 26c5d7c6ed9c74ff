"""What an operator's order is for: deliveries, and in them the recipients that are meant and nobody else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Label, Row, func, not_, or_, select, tuple_

from relay.db.tables import attempts, deliveries, recipients
from relay.queue.items import DeliveryKey
from relay.queue.leasing import lock_messages
from relay.queue.selection import ITS_OPEN, Selection
from relay.queue.splitting import Group, split_off
from relay.queue.states import DeliveryState


class Order(Protocol):
    """What is to be done to a selection of mail; it concerns only what stands as `standing` says."""

    @property
    def selection(self) -> Selection:
        """The mail that is meant."""

    @property
    def standing(self) -> ColumnElement[bool]:
        """The condition under which it can be done, and is not done already."""


@dataclass(frozen=True, slots=True)
class Affected:
    """How many deliveries an order would move, by their state, and of how many recipients.

    `others` are recipients of the same deliveries whom it is not for: they would stay as they are.
    """

    deliveries: Mapping[DeliveryState, int]
    recipients: int
    others: int


_KEY = (deliveries.c.message_id, deliveries.c.part)


def affected(tx: Connection, order: Order) -> Affected:
    """Return what *order* would move: nothing is changed."""
    wanted = (order.standing, *order.selection.conditions())
    by_state = select(deliveries.c.state, func.count()).where(*wanted).group_by(deliveries.c.state)
    of_whom = (
        select(func.count().filter(order.selection.means), _others(order.selection))
        .join_from(deliveries, recipients, ITS_OPEN)
        .where(*wanted)
    )
    return Affected(dict(tuple(row) for row in tx.execute(by_state)), *tx.execute(of_whom).one())


_LAST_TRY = (attempts.c.message_id == deliveries.c.message_id) & (attempts.c.number == deliveries.c.attempts)
_ITS_LAST_TRY = select(attempts.c.number).where(_LAST_TRY, attempts.c.part == deliveries.c.part)
# Who was split off after a try has no record of it: it stands with those that it was made together with.
_WAS_DOUBTFUL = (
    select(attempts.c.number)
    .where(
        _LAST_TRY,
        attempts.c.perhaps_delivered.is_(True),
        or_(attempts.c.part == deliveries.c.part, not_(_ITS_LAST_TRY.correlate(deliveries).exists())),
    )
    .correlate(deliveries)
    .exists()
)


def perhaps_delivered(tx: Connection, order: Order) -> int:
    """Return how many of the deliveries that *order* would move have perhaps arrived already.

    The upstream got the whole of each at its last try, and the line broke before the answer.
    """
    wanted = (order.standing, *order.selection.conditions())
    doubtful = select(func.count()).select_from(deliveries).where(*wanted, _WAS_DOUBTFUL)
    return tx.execute(doubtful).scalar_one()


def find(
    tx: Connection, order: Order, columns: Sequence[Column[Any]], at_most: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Lock at most so many deliveries that *order* is for, and return *columns* of them.

    If it means only some recipients of a delivery, these are split off first, and the new delivery is the
    one that is found: what is done to it concerns nobody else.
    """
    found = select(*columns).where(order.standing).limit(at_most)
    found = found.with_for_update(of=deliveries, skip_locked=True)
    if order.selection.recipient is None:
        return tx.execute(found.where(*order.selection.conditions())).all()
    return tx.execute(found.where(tuple_(*_KEY).in_(_single_out(tx, order, at_most)))).all()


def _single_out(tx: Connection, order: Order, at_most: int) -> list[DeliveryKey]:
    """Split off whom *order* means from whom it does not; return the deliveries of those it means."""
    wanted = (order.standing, *order.selection.conditions())
    first = tx.execute(select(deliveries.c.message_id).where(*wanted).limit(at_most))
    messages = set(first.scalars())
    lock_messages(tx, messages)
    # Asked again, for only now nobody changes it any more.
    rows = tx.execute(
        select(
            *_KEY, deliveries.c.state, deliveries.c.attempts, deliveries.c.reason, _others(order.selection)
        )
        .join_from(deliveries, recipients, ITS_OPEN)
        .where(deliveries.c.message_id.in_(messages), *wanted)
        .group_by(*_KEY)
        .limit(at_most)
    ).all()
    numbers = _numbers_meant(tx, order.selection, [(row.message_id, row.part) for row in rows if row.others])
    groups = [
        Group(key, tuple(numbers[key]), row.attempts, row.reason, row.state)
        for row in rows
        if (key := DeliveryKey(row.message_id, row.part)) in numbers
    ]
    whole = [DeliveryKey(row.message_id, row.part) for row in rows if not row.others]
    return whole + split_off(tx, groups)


def _others(selection: Selection) -> Label[int]:
    return func.count().filter(not_(selection.means)).label("others")


def _numbers_meant(
    tx: Connection, selection: Selection, keys: Sequence[tuple[str, int]]
) -> Mapping[DeliveryKey, Sequence[int]]:
    """The recipients of these deliveries that are meant, by number."""
    found = defaultdict[DeliveryKey, list[int]](list)
    meant = (
        select(*_KEY, recipients.c.number)
        .join_from(deliveries, recipients, ITS_OPEN)
        .where(tuple_(*_KEY).in_(keys), selection.means)
        .order_by(recipients.c.number)
    )
    for message_id, part, number in tx.execute(meant):
        found[DeliveryKey(message_id, part)].append(number)
    return found
