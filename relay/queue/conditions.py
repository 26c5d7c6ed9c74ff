"""Where a delivery stands, as conditions of a query.

The states are written out in the statement: neither database uses a partial index for a state that
it is told only when the statement runs.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, literal_column

from relay.db.tables import deliveries
from relay.queue.states import RESTING, DeliveryState


def _is(state: DeliveryState) -> ColumnElement[bool]:
    return deliveries.c.state == literal_column(f"'{state.value}'")


IS_QUEUED = _is(DeliveryState.QUEUED)
IS_WAITING = _is(DeliveryState.WAITING)
IS_LEASED = _is(DeliveryState.LEASED)
IS_HELD = _is(DeliveryState.HELD)

IN_STATE: Mapping[DeliveryState, ColumnElement[bool]] = {
    DeliveryState.QUEUED: IS_QUEUED,
    DeliveryState.WAITING: IS_WAITING,
    DeliveryState.LEASED: IS_LEASED,
    DeliveryState.HELD: IS_HELD,
}

# Its sender set the moment, and it was not tried yet.
IS_SCHEDULED: ColumnElement[bool] = (
    IS_WAITING & deliveries.c.reason.is_(None) & (deliveries.c.attempts == literal_column("0"))
)

# What waits and whose sender is still to hear of it: word for word the condition of ix_deliveries_late.
IS_LATE_UNTOLD: ColumnElement[bool] = deliveries.c.late_at.is_not(None) & deliveries.c.state.in_(
    [literal_column("'queued'"), literal_column("'waiting'")]
)

# In nobody's hands, and not at its end: word for word the condition of ix_deliveries_resting.
IS_RESTING: ColumnElement[bool] = deliveries.c.state.in_(
    [literal_column(f"'{state.value}'") for state in RESTING]
)
