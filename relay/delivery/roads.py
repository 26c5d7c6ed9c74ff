"""Which lane a delivery takes: one of the first rank of its route's upstreams that takes mail now."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from relay import log
from relay.current import Current
from relay.delivery.clerk import Clerk
from relay.delivery.hands import Held
from relay.delivery.lane import Lane
from relay.queue.stops import Stops
from relay.routing.routes import RoutingTable
from relay.routing.standing import Stand
from relay.routing.upstreams import Upstream


class Share(NamedTuple):
    """A lane that a route leads to, and how much of its rank's mail it gets."""

    lane: Lane
    weight: int


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
        self._heard: Mapping[str, Sequence[Stand]] = {}  # of other processes, by upstream
        self._ways: dict[str, Sequence[Sequence[Share]]] = {}  # by route, the first rank first
        self._straight: dict[str, Lane] = {}  # by route, where all mail takes one lane while that is up

    def stir(self) -> None:
        """Set to work whoever has something to do."""
        for lane in self._lanes.values():
            lane.stir()

    def measure(self, period: timedelta) -> None:
        """Reckon how much each lane carries, from the last *period*."""
        for lane in self._lanes.values():
            lane.measure(period)
            lane.stir()

    def hear(self, stands: Mapping[str, Sequence[Stand]]) -> None:
        """Heed how upstreams stand with other processes, also those that we have no lane to yet."""
        self._heard = stands
        for upstream_id, told in stands.items():
            if upstream_id in self._lanes:
                self._lanes[upstream_id].hear(told)

    def by_lane(self, route_ids: Iterable[str]) -> Mapping[Lane, Sequence[str]]:
        """Which of these routes lead to which lanes now; those that lead to none are left out."""
        found = defaultdict[Lane, list[str]](list)
        for route_id in route_ids:
            for share in self._open(route_id):
                found[share.lane].append(route_id)
        return found

    def lane_for(self, route_id: str, octets: int = 0, but: AbstractSet[str] = frozenset()) -> Lane | None:
        """The lane that a delivery by this route takes now; None: there is none, see `why_not`.

        Lanes of one rank share by weight, as long as each has room.  A message too large for every
        upstream goes to the first, to be refused in its name; but never to one of *but*.
        """
        self.heed_changes()
        straight = self._straight.get(route_id)
        if straight is not None and straight.standing.is_up and not but:
            return straight
        shares = self._open(route_id, octets, but)
        if len(shares) > 1:
            shares = [share for share in shares if share.lane.room > 0] or shares
            weights = [share.weight for share in shares]
            return self._clerk.rules().rng.choices(shares, weights)[0].lane
        return shares[0].lane if shares else None

    def take(self, held: Held, of: str, why: str) -> bool:
        """See `Elsewhere`."""
        claimed = held.claimed
        lane = self.lane_for(claimed.route_id, claimed.octets, held.passed_by)
        if lane is None or lane.upstream.id == of:
            return False
        log.passed_on(delivery=str(claimed.key), upstream=lane.upstream.name, why=why)
        lane.put(held)
        return True

    def may_take(self, held: Held) -> bool:
        """See `Elsewhere`."""
        ranks = _without(held.unfit_for, self._ranks_of(held.claimed.route_id))
        return any(share.lane.bears(held.claimed.octets) for rank in ranks for share in rank)

    def why_not(self, route_id: str) -> str:
        """Why there is no lane for this route, in a sentence."""
        route = self._heeded.route(route_id)
        if route is None:
            return self._heeded.why_nowhere
        lanes = [share.lane for rank in self._ranks_of(route_id) for share in rank]
        for lane in lanes:
            if stop := self._stops.value.of(upstream_id=lane.upstream.id):
                return stop.sentence
        for lane in lanes:
            if not lane.is_open:
                return lane.why_shut
        return f"Route {route.name} leads to no upstream that is switched on"

    def _open(self, route_id: str, octets: int = 0, but: AbstractSet[str] = frozenset()) -> Sequence[Share]:
        """The lanes of the first rank that takes the message now."""
        self.heed_changes()
        ranks = self._ways.get(route_id)
        if ranks is None:
            ranks = self._ways[route_id] = self._ranks_of(route_id)
            if ranks and len(ranks[0]) == 1 and self._is_free(lane := ranks[0][0].lane):
                self._straight[route_id] = lane
        if but:
            ranks = _without(but, ranks)
        elif octets and not any(share.lane.bears(octets) for rank in ranks for share in rank):
            octets = 0
        for rank in ranks:
            if found := [share for share in rank if share.lane.is_open and share.lane.bears(octets)]:
                # Nor do others step in for one that an operator stopped: its mail is to wait.
                stops = self._stops.value
                return [share for share in found if not stops.of(upstream_id=share.lane.upstream.id)]
            if any(share.lane.is_waited_for and share.lane.bears(octets) for share in rank):
                break
        return ()

    def heed_changes(self) -> None:
        """Do as the table and the stops say that are in force now."""
        if self._stops.value is not self._heeded_stops:
            self._heeded_stops = self._stops.value
            self._forget_ways()
            for lane in self._lanes.values():
                lane.give_back(partial(self._why_stopped, lane))
        table = self._routing.value
        if table is self._heeded:
            return
        self._heeded = table
        self._forget_ways()
        for upstream_id, lane in list(self._lanes.items()):
            upstream = table.upstreams.get(upstream_id)
            if upstream is None or not upstream.is_enabled:
                lane.switch_off()
            else:
                lane.adopt(upstream)
                lane.give_back(partial(self._why_moved, lane))

    def _forget_ways(self) -> None:
        self._ways.clear()
        self._straight.clear()

    def _is_free(self, lane: Lane) -> bool:
        """Whether nothing but trouble ever keeps mail from *lane*, as stops and limits are now."""
        upstream_id = lane.upstream.id
        limits = self._heeded.upstreams[upstream_id].limits
        is_stopped = self._heeded_stops.of(upstream_id=upstream_id) is not None
        return not (is_stopped or limits.is_metered) and limits.octets is None

    def _why_stopped(self, lane: Lane, held: Held) -> str | None:
        stop = self._stops.value.of(upstream_id=lane.upstream.id, user_id=held.claimed.user_id)
        return None if stop is None else stop.sentence

    def _why_moved(self, lane: Lane, held: Held) -> str | None:
        route = self._heeded.route(held.claimed.route_id)
        leads_here = route is not None and lane.upstream.id in route.upstream_ids
        return None if leads_here else "Its route leads elsewhere now"

    async def close(self, reason: str, seconds: float) -> None:
        """End all lanes: see `Lane.close`."""
        await asyncio.gather(*(lane.close(reason, seconds) for lane in self._lanes.values()))

    def _ranks_of(self, route_id: str) -> Sequence[Sequence[Share]]:
        """The lanes of a route's upstreams that are switched on, rank by rank."""
        route = self._heeded.route(route_id)
        ranks = defaultdict[int, list[Share]](list)
        for leg in route.legs if route else ():
            upstream = self._heeded.upstreams[leg.upstream_id]
            if upstream.is_enabled:
                ranks[leg.rank].append(Share(self._lane_to(upstream), leg.weight))
        return [ranks[rank] for rank in sorted(ranks)]

    def _lane_to(self, upstream: Upstream) -> Lane:
        if upstream.id not in self._lanes:
            self._lanes[upstream.id] = Lane(
                upstream,
                self._clerk,
                share=self._share,
                on_room=self._on_room,
                elsewhere=self,
            )
            self._lanes[upstream.id].hear(self._heard.get(upstream.id, ()))
        return self._lanes[upstream.id]


def _without(but: AbstractSet[str], ranks: Sequence[Sequence[Share]]) -> Sequence[Sequence[Share]]:
    return [[share for share in rank if share.lane.upstream.id not in but] for rank in ranks]
