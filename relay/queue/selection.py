"""Which deliveries an operator means: the same words for looking at them and for moving them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, func, or_, select, true

from relay.db.tables import deliveries, messages, recipients
from relay.mail.address import fold_domain
from relay.mail.priority import Priority
from relay.queue.conditions import IN_STATE
from relay.queue.states import DeliveryState, RecipientState

ITS_OPEN: ColumnElement[bool] = (
    (recipients.c.message_id == deliveries.c.message_id)
    & (recipients.c.part == deliveries.c.part)
    & (recipients.c.state == RecipientState.OPEN)
)
"""Joins a delivery with those of its recipients that have no end yet."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Deliveries that fit all that is named; nothing named means all of them.

    `sender` and `recipient` are an address or a whole domain, in either case; `recipient` finds deliveries
    that are still to go there, whoever else they are for.  A `tag` is found in either case, too
    (of letters beyond ASCII, PostgreSQL knows the cases by its locale).  `accepted_before` is for what lies
    here for long already.
    """

    message_ids: tuple[str, ...] | None = None
    part: int | None = None
    user_id: str | None = None
    route_id: str | None = None
    priority: Priority | None = None
    state: DeliveryState | None = None
    sender: str | None = None
    recipient: str | None = None
    tag: str | None = None
    accepted_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as conditions of a query on deliveries.  Raises BadAddress for what is no domain."""
        named: list[ColumnElement[Any]] = []
        if self.message_ids is not None:
            named.append(deliveries.c.message_id.in_(self.message_ids))
        if self.part is not None:
            named.append(deliveries.c.part == self.part)
        if self.route_id is not None:
            named.append(deliveries.c.route_id == self.route_id)
        if self.priority is not None:
            named.append(deliveries.c.priority == int(self.priority))
        if self.state is not None:
            named.append(IN_STATE[self.state])
        if self.recipient is not None:
            to = select(recipients.c.number).where(ITS_OPEN, self.means)
            named.append(to.correlate(deliveries).exists())
        if facts := self._of_message():
            sent = select(messages.c.id).where(messages.c.id == deliveries.c.message_id, *facts)
            named.append(sent.correlate(deliveries).exists())  # whatever else the query looks at
        return named

    @property
    def means(self) -> ColumnElement[bool]:
        """Which recipients of the deliveries are meant, as a condition on recipients."""
        return true() if self.recipient is None else _is_of(recipients.c.address, self.recipient)

    def _of_message(self) -> list[ColumnElement[bool]]:
        named: list[ColumnElement[bool]] = []
        if self.user_id is not None:
            named.append(messages.c.user_id == self.user_id)
        if self.sender is not None:
            named.append(_is_of(messages.c.sender, self.sender))
        if self.tag is not None:
            named.append(func.lower(messages.c.tag) == func.lower(self.tag))  # as routes compare them
        if self.accepted_before is not None:
            named.append(messages.c.accepted_at < self.accepted_before)
        return named


def _is_of(column: Column[str], wanted: str) -> ColumnElement[bool]:
    """Whether an address is *wanted*, or of that domain, in whichever form that was written."""
    local, at, domain = wanted.rpartition("@")
    spellings = {domain.lower(), fold_domain(domain)}
    if at and local:
        return func.lower(column).in_([func.lower(f"{local}@{spelled}") for spelled in spellings])
    return or_(
        *(func.lower(column).endswith(f"@{spelled}", autoescape=True) for spelled in sorted(spellings))
    )
