"""Which lane a delivery takes: the first of its route's upstreams that is not down."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from relay.current import Current
from relay.delivery.clerk import Clerk
from relay.delivery.hands import Held
from relay.delivery.lane import Lane
from relay.queue.stops import Stops
from relay.routing.routes import RoutingTable


class Roads:
    """The lanes of a process, as the routing table in force wants them."""

    def __init__(
        self,
        routing: Current[RoutingTable],
        clerk: Clerk,
        *,
        stops: Current[Stops],
        share: Callable[[], int],
        on_room: Callable[[], None],
    ) -> None:
        self._routing = routing
        self._clerk = clerk
        self._share = share
        self._on_room = on_room
        self._heeded = routing.value
        self._stops = stops
        self._heeded_stops = stops.value
        self._lanes: dict[str, Lane] = {}  # by upstream
        self._ways: dict[str, Sequence[Lane]] = {}  # by route, the first choice first

    def stir(self) -> None:
        """Set to work whoever has something to do."""
        for lane in self._lanes.values():
            lane.stir()

    def measure(self, period: timedelta) -> None:
        """Reckon how much each lane carries, from the last *period*."""
        for lane in self._lanes.values():
            lane.measure(period)
            lane.stir()

    def by_lane(self, route_ids: Iterable[str]) -> Mapping[Lane, Sequence[str]]:
        """Which of these routes lead to which lane now; those that lead to none are left out."""
        found = defaultdict[Lane, list[str]](list)
        for route_id in route_ids:
            if (lane := self.lane_for(route_id)) is not None:
                found[lane].append(route_id)
        return found

    def lane_for(self, route_id: str) -> Lane | None:
        """The lane that a delivery by this route takes now; None: there is none, see `why_not`."""
        self.heed_changes()
        lanes = self._ways.get(route_id)
        if lanes is None:
            lanes = self._ways[route_id] = self._lanes_of(route_id)
        for lane in lanes:
            if lane.standing.is_up or not lane.standing.is_down(self._clerk.clock.now()):
                # Nor do others step in for one that an operator stopped: its mail is to wait.
                return None if self._stops.value.of(upstream_id=lane.upstream.id) else lane
        return None

    def why_not(self, route_id: str) -> str:
        """Why there is no lane for this route, in a sentence."""
        route = self._heeded.route(route_id)
        if route is None:
            return "No upstream was added yet"
        lanes = self._lanes_of(route_id)
        for lane in lanes:
            if stop := self._stops.value.of(upstream_id=lane.upstream.id):
                return stop.sentence
        if lanes:
            return lanes[0].why_down
        return f"Route {route.name} leads to no upstream that is switched on"

    def heed_changes(self) -> None:
        """Do as the table and the stops say that are in force now."""
        if self._stops.value is not self._heeded_stops:
            self._heeded_stops = self._stops.value
            for lane in self._lanes.values():
                lane.give_back(partial(self._why_stopped, lane))
        table = self._routing.value
        if table is self._heeded:
            return
        self._heeded = table
        self._ways.clear()
        for upstream_id, lane in list(self._lanes.items()):
            upstream = table.upstreams.get(upstream_id)
            if upstream is None or not upstream.is_enabled:
                lane.give_all_back(f"Upstream {lane.upstream.name} was switched off")
            else:
                lane.adopt(upstream)

    def _why_stopped(self, lane: Lane, held: Held) -> str | None:
        stop = self._stops.value.of(upstream_id=lane.upstream.id, user_id=held.claimed.user_id)
        return None if stop is None else stop.sentence

    async def close(self, reason: str, seconds: float) -> None:
        """End all lanes: see `Lane.close`."""
        await asyncio.gather(*(lane.close(reason, seconds) for lane in self._lanes.values()))

    def _lanes_of(self, route_id: str) -> Sequence[Lane]:
        route = self._heeded.route(route_id)
        upstreams = self._heeded.upstreams_of(route) if route else ()
        for upstream in upstreams:
            if upstream.id not in self._lanes:
                self._lanes[upstream.id] = Lane(
                    upstream, self._clerk, share=self._share, on_room=self._on_room
                )
        return [self._lanes[upstream.id] for upstream in upstreams]
