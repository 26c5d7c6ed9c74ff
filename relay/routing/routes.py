"""Which way a message goes.

The first route that is for a message takes it, recipient by recipient; the default route takes
whatever no other is for.  The whole of it is read into one frozen table, which every process holds and
replaces when the routing changes.  Deliveries remember the route, and where it leads is looked up when
they go: so a route that is mended frees the mail that waits for it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, select

from relay.db.tables import route_upstreams, routes
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.routing.conditions import ANYTHING, Conditions, from_members
from relay.routing.upstreams import Upstream, all_upstreams
from relay.sealing import Sealer

DEFAULT_ROUTE = "default"


class NoRoute(LookupError):
    """There is nowhere to send to: the default route leads to no upstream (to a client: 451 4.3.5)."""


class Leg(NamedTuple):
    """Where a route leads: upstreams of the same `rank` share by `weight`, the next rank steps in."""

    upstream_id: str
    rank: int = 1
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Route:
    """A rule and where it leads, the lowest rank first; `user_id` is set if it is that user's own."""

    id: str
    name: str
    user_id: str | None
    legs: tuple[Leg, ...]
    conditions: Conditions = ANYTHING

    @property
    def upstream_ids(self) -> tuple[str, ...]:
        """The upstreams that it leads to, the first to try first."""
        return tuple(leg.upstream_id for leg in self.legs)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All upstreams and all routes in force, as they were at one moment."""

    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    default: Route | None = None
    _by_id: Mapping[str, Route] = field(init=False, repr=False, compare=False)
    # What may be for the mail of one user, and of all others, in its order: `plan` asks no more than these.
    _for_user: Mapping[str, Sequence[Route]] = field(init=False, repr=False, compare=False)
    _for_others: Sequence[Route] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        place = {route.id: number for number, route in enumerate(self.routes)}
        by_user = defaultdict[str, list[Route]](list)
        for_others: list[Route] = []
        for route in self.routes:
            if route is self.default:
                continue
            users = _users_of(route)
            for user_id in users:
                by_user[user_id].append(route)
            if not users:
                for_others.append(route)
        for_user = {
            user_id: sorted([*theirs, *for_others], key=lambda route: place[route.id])
            for user_id, theirs in by_user.items()
        }
        object.__setattr__(self, "_by_id", {route.id: route for route in self.routes})
        object.__setattr__(self, "_for_user", for_user)
        object.__setattr__(self, "_for_others", for_others)

    def route(self, route_id: str) -> Route | None:
        """The route of that id; the default route for one that is gone since."""
        return self._by_id.get(route_id, self.default)

    @property
    def why_nowhere(self) -> str:
        """Why there is no default route, in a sentence."""
        return "The default route leads to no upstream" if self.upstreams else "No upstream was added yet"

    def own_route_of(self, user_id: str) -> Route | None:
        """The route that is this user's own, if it has one."""
        return next((route for route in self._for_user.get(user_id, ()) if route.user_id), None)

    def rules_for(self, user_id: str | None) -> Sequence[Route]:
        """The routes, but the default one, that mail of this user may take, in their order."""
        return self._for_others if user_id is None else self._for_user.get(user_id, self._for_others)

    def upstreams_of(self, route: Route) -> tuple[Upstream, ...]:
        """The upstreams that *route* leads to and that are switched on, the first to try first."""
        found = (self.upstreams[leg.upstream_id] for leg in route.legs)
        return tuple(upstream for upstream in found if upstream.is_enabled)


def _users_of(route: Route) -> frozenset[str]:
    """The users whose mail alone may take it; none: it is for anybody's."""
    return frozenset((route.user_id,)) if route.user_id else route.conditions.users


def load(tx: Connection, sealer: Sealer) -> RoutingTable:
    """Read the table as it stands."""
    legs = defaultdict[str, list[Leg]](list)
    for row in tx.execute(
        select(route_upstreams).order_by(route_upstreams.c.position, route_upstreams.c.upstream_id)
    ):
        legs[row.route_id].append(Leg(row.upstream_id, row.position, row.weight))
    in_force = tuple(
        Route(row.id, row.name, row.user_id, tuple(legs[row.id]), from_members(json.loads(row.conditions)))
        for row in tx.execute(select(routes).where(routes.c.is_enabled).order_by(routes.c.position))
        if legs[row.id]
    )
    default = next((route for route in in_force if route.name == DEFAULT_ROUTE), None)
    return RoutingTable({u.id: u for u in all_upstreams(tx, sealer)}, in_force, default)


def plan(
    table: RoutingTable,
    envelope: Envelope,
    user_id: str | None,
    *,
    tag: str | None = None,
    priority: Priority = Priority.NORMAL,
    octets: int = 0,
) -> Mapping[str, tuple[int, ...]]:
    """Say by which routes the recipients go, by their numbers.  Raises NoRoute."""
    rules = [
        route
        for route in table.rules_for(user_id)
        if route.conditions is ANYTHING
        or route.conditions.fit(envelope.sender, tag=tag, priority=priority, octets=octets)
    ]
    if not rules or rules[0].conditions.recipients is None:
        route = _or_default(rules[0] if rules else None, table)
        return {route.id: tuple([recipient.number for recipient in envelope.recipients])}
    planned = defaultdict[str, list[int]](list)
    for recipient in envelope.recipients:
        fitting = (route for route in rules if route.conditions.fit_recipient(recipient.address))
        planned[_or_default(next(fitting, None), table).id].append(recipient.number)
    return {route_id: tuple(numbers) for route_id, numbers in planned.items()}


def _or_default(route: Route | None, table: RoutingTable) -> Route:
    route = route or table.default
    if route is None:
        see = "relay route edit" if table.upstreams else "relay upstream add"
        raise NoRoute(f'{table.why_nowhere}; see "{see}".')
    return route
