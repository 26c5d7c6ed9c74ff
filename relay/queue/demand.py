"""Where there is something to do: a mere read, so that an idle process writes nothing."""

from sqlalchemy import Connection, bindparam, func, select

from relay.db.tables import deliveries
from relay.queue.conditions import IS_QUEUED

# One step along the index of queued deliveries, from route to route: a DISTINCT would read it all.
_NEXT_ROUTE = select(func.min(deliveries.c.route_id)).where(
    IS_QUEUED, deliveries.c.route_id > bindparam("after")
)


def routes_in_demand(tx: Connection) -> list[str]:
    """The routes that deliveries are queued for, also those that exist no more."""
    found: list[str] = []
    while (route_id := tx.execute(_NEXT_ROUTE, {"after": found[-1] if found else ""}).scalar()) is not None:
        found.append(route_id)
    return found
