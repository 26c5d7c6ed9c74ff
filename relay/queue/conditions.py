"""Where a delivery stands, as conditions of a query.

The states are written out in the statement: neither database uses a partial index for a state that
it is told only when the statement runs.
"""

from typing import Any

from sqlalchemy import ColumnElement, literal_column

from relay.db.tables import deliveries
from relay.queue.states import DeliveryState


def _written(state: DeliveryState) -> ColumnElement[Any]:
    return literal_column(f"'{state.value}'")


IS_QUEUED = deliveries.c.state == _written(DeliveryState.QUEUED)
IS_WAITING = deliveries.c.state == _written(DeliveryState.WAITING)
IS_LEASED = deliveries.c.state == _written(DeliveryState.LEASED)
IS_HELD = deliveries.c.state == _written(DeliveryState.HELD)

# In nobody's hands, and not at its end.
IS_RESTING = deliveries.c.state.in_(
    [_written(DeliveryState.QUEUED), _written(DeliveryState.WAITING), _written(DeliveryState.HELD)]
)
