"""Which way a message goes.

A user may have a route of its own; everything else goes by the default route.  The whole of it is
read into one frozen table, which every process holds and replaces when the routing changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from relay.db.tables import route_upstreams, routes
from relay.mail.envelope import Envelope
from relay.routing.upstreams import Upstream, all_upstreams
from relay.sealing import Sealer

DEFAULT_ROUTE = "default"


class NoRoute(LookupError):
    """There is nowhere to send to: no upstream was added yet (to a client: 451 4.3.5)."""


@dataclass(frozen=True, slots=True)
class Route:
    """A rule and where it leads: upstreams by id, in the order in which they are tried."""

    id: str
    name: str
    user_id: str | None
    upstream_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All upstreams and all routes in force, as they were at one moment."""

    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    default: Route | None = None
    _by_id: Mapping[str, Route] = field(init=False, repr=False, compare=False)
    _by_user: Mapping[str, Route] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = {route.user_id: route for route in self.routes if route.user_id is not None}
        object.__setattr__(self, "_by_id", {route.id: route for route in self.routes})
        object.__setattr__(self, "_by_user", own)

    def route(self, route_id: str) -> Route | None:
        """The route of that id; the default route for one that is gone since."""
        return self._by_id.get(route_id, self.default)

    def route_of(self, user_id: str | None) -> Route | None:
        """The route that mail of this user takes; None: there is nowhere to send to."""
        return self._by_user.get(user_id, self.default) if user_id is not None else self.default

    def upstreams_of(self, route: Route) -> tuple[Upstream, ...]:
        """The upstreams that *route* leads to and that are switched on, the first to try first."""
        found = (self.upstreams[upstream_id] for upstream_id in route.upstream_ids)
        return tuple(upstream for upstream in found if upstream.is_enabled)


def load(tx: Connection, sealer: Sealer) -> RoutingTable:
    """Read the table as it stands."""
    legs = defaultdict[str, list[str]](list)
    for leg in tx.execute(select(route_upstreams).order_by(route_upstreams.c.position)):
        legs[leg.route_id].append(leg.upstream_id)
    in_force = tuple(
        Route(row.id, row.name, row.user_id, tuple(legs[row.id]))
        for row in tx.execute(select(routes).where(routes.c.is_enabled).order_by(routes.c.position))
        if legs[row.id]
    )
    default = next((route for route in in_force if route.name == DEFAULT_ROUTE), None)
    return RoutingTable({u.id: u for u in all_upstreams(tx, sealer)}, in_force, default)


def plan(table: RoutingTable, envelope: Envelope, user_id: str | None) -> Mapping[str, tuple[int, ...]]:
    """Say by which routes the recipients go, by their numbers.  Raises NoRoute."""
    route = table.route_of(user_id)
    if route is None:
        raise NoRoute('No upstream was added yet; see "relay upstream add".')
    return {route.id: tuple([recipient.number for recipient in envelope.recipients])}
