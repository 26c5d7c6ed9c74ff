"""Which deliveries an operator means: the same words for looking at them and for moving them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select

from relay.db.tables import deliveries, messages
from relay.mail.priority import Priority
from relay.queue.conditions import IN_STATE
from relay.queue.states import DeliveryState


@dataclass(frozen=True, slots=True)
class Selection:
    """Deliveries that fit all that is named; nothing named means all of them."""

    message_ids: tuple[str, ...] | None = None
    part: int | None = None
    user_id: str | None = None
    route_id: str | None = None
    priority: Priority | None = None
    state: DeliveryState | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as conditions of a query on deliveries."""
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
        if self.user_id is not None:
            sent = select(messages.c.id).where(
                messages.c.id == deliveries.c.message_id, messages.c.user_id == self.user_id
            )
            named.append(sent.correlate(deliveries).exists())  # whatever else the query looks at
        return named
