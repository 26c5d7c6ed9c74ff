"""Why a delivery is not sent yet: always exactly one reason, and one sentence.

Of several reasons the one that lasts longest is told: what somebody decided before what time will
mend, and that before mere numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal, select, tuple_

from relay.db.tables import deliveries, messages
from relay.queue.conditions import IS_LEASED, IS_QUEUED
from relay.queue.demand import routes_in_demand
from relay.queue.estimate import estimated_at, pace, recent_durations
from relay.queue.items import DeliveryKey
from relay.queue.states import DeliveryState
from relay.queue.stops import Stops, load_stops
from relay.routing import routes
from relay.routing.routes import RoutingTable
from relay.routing.standing import Shut, Stand, State, load_stands, why_shut
from relay.routing.upstreams import Upstream
from relay.sealing import Sealer


class Why(StrEnum):
    """Why a delivery is where it is."""

    DONE = "done"  # it waits for nothing any more
    SENDING = "sending"
    HELD = "held"  # until somebody releases it
    STOPPED = "stopped"  # the whole queue
    STOPPED_UPSTREAM = "stopped-upstream"
    STOPPED_USER = "stopped-user"
    SCHEDULED = "scheduled"  # whoever sent it wants it later
    RETRY = "retry"  # it was tried, and is tried again
    NO_UPSTREAM = "no-upstream"  # its route leads nowhere
    UPSTREAM_DOWN = "upstream-down"
    UPSTREAM_LIMIT = "upstream-limit"
    BEHIND = "behind"  # more urgent mail goes first
    NEXT = "next"  # it goes as soon as somebody looks


_LIMITED = {State.SPENT, State.PAUSING}


@dataclass(frozen=True, slots=True)
class Waiting:
    """The reason, in a sentence without a full stop.

    `until` is when it ends, as far as that is known; `ahead` how many deliveries go before;
    `estimated_at` when it will probably be sent, None if that depends on somebody's decision.
    """

    why: Why
    sentence: str
    until: datetime | None = None
    ahead: int | None = None
    estimated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery as it stands; `ahead` is how many go before it, if it is due (`is_more`: at least)."""

    state: DeliveryState
    route_id: str
    due_at: datetime
    attempts: int
    reason: str | None = None
    leased_by: str | None = None
    user_id: str | None = None
    ahead: int = 0
    is_more: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else decides: stops, routes, how upstreams stand, and how long each takes for a delivery."""

    now: datetime
    stops: Stops = field(default_factory=Stops)
    routing: RoutingTable = field(default_factory=RoutingTable)
    stands: Mapping[str, Sequence[Stand]] = field(default_factory=dict)
    durations: Mapping[str, timedelta] = field(default_factory=dict)

    def upstreams_of(self, route_id: str) -> Sequence[Upstream]:
        """Where a route leads that is switched on, the first choice first."""
        route = self.routing.route(route_id)
        return self.routing.upstreams_of(route) if route else ()

    def way(self, route_id: str) -> Way:
        """Who would carry mail of that route now: those of the first rank that takes any.

        What an upstream may not be given for now waits for it, unless it overflows.
        """
        route = self.routing.route(route_id)
        rank_of = {leg.upstream_id: leg.rank for leg in route.legs} if route else {}
        shut: list[tuple[Upstream, Shut]] = []
        for _, rank in groupby(self.upstreams_of(route_id), key=lambda each: rank_of[each.id]):
            standing = [(each, why_shut(each, self.stands.get(each.id, ()), self.now)) for each in rank]
            if taking := [each for each, why in standing if why is None]:
                return Way(taking, ())
            theirs = [(each, why) for each, why in standing if why is not None]
            shut += theirs
            if any(why.why in _LIMITED and not each.limits.overflows for each, why in theirs):
                break
        return Way([each for each, _ in shut], [why for _, why in shut])


@dataclass(frozen=True, slots=True)
class Way:
    """The upstreams that matter to a delivery, and why each takes nothing now; nothing: they take mail."""

    upstreams: Sequence[Upstream]
    shut: Sequence[Shut]


def explain(one: Standing, around: Surroundings) -> Waiting:
    """Say why *one* waits."""
    match one.state:
        case DeliveryState.DONE:
            return Waiting(Why.DONE, "Every recipient has its end")
        case DeliveryState.LEASED:
            told = f"The process {one.leased_by} has it: it is being sent, or is among the next there"
            return Waiting(Why.SENDING, told, estimated_at=around.now)
        case DeliveryState.HELD:
            return Waiting(Why.HELD, f"Held: {one.reason or 'nobody said why'}")
    way = around.way(one.route_id)
    return _stopped(one, way, around.stops) or _not_due(one) or _in_line(one, way, around)


def _stopped(one: Standing, way: Way, stops: Stops) -> Waiting | None:
    """A stop that keeps it, if one does: the queue's, its user's, or that of all its upstreams."""
    stop = stops.of(user_id=one.user_id)
    of_each = [stops.of(upstream_id=each.id) for each in way.upstreams]
    if stop is None and None not in of_each:
        stop = next(iter(of_each), None)
    if stop is None:
        return None
    if stop.reach.upstream_id is not None:
        return Waiting(Why.STOPPED_UPSTREAM, stop.sentence)
    return Waiting(Why.STOPPED if stop.reach.user_id is None else Why.STOPPED_USER, stop.sentence)


def _not_due(one: Standing) -> Waiting | None:
    if one.state is not DeliveryState.WAITING:
        return None
    if one.reason is None and not one.attempts:
        why, told = Why.SCHEDULED, f"Scheduled: not to be sent before {_moment(one.due_at)}"
    else:
        because = f": {one.reason}" if one.reason else ""  # mail that was held has none any more
        why, told = Why.RETRY, f"Tried again at {_moment(one.due_at)}{because}"
    return Waiting(why, told, until=one.due_at, estimated_at=one.due_at)


def _in_line(one: Standing, way: Way, around: Surroundings) -> Waiting:
    if not way.upstreams:
        return Waiting(Why.NO_UPSTREAM, _leads_nowhere(one, around))
    # More than were counted go before it: then nobody knows when its turn comes.
    per_second = None if one.is_more else pace(way.upstreams, around.durations)
    if way.shut:
        return _behind_the_shut(one, way, around.now, per_second)
    at = estimated_at(around.now, one.ahead, per_second)
    if not one.ahead:
        told = "Nothing goes before it: it is sent as soon as a connection is free"
        return Waiting(Why.NEXT, told, ahead=0, estimated_at=at)
    number = "1 delivery goes" if one.ahead == 1 else f"{one.ahead} deliveries go"
    if one.is_more:
        number = f"{one.ahead} or more deliveries go"
    return Waiting(Why.BEHIND, f"{number} before it", ahead=one.ahead, estimated_at=at)


def _behind_the_shut(one: Standing, way: Way, now: datetime, per_second: float | None) -> Waiting:
    """No upstream takes mail now: told is the one that will be the first to."""
    soonest = min(way.shut, key=lambda each: each.until or datetime.max.replace(tzinfo=now.tzinfo))
    begin = soonest.until and max(soonest.until, now)
    at = begin and estimated_at(begin, one.ahead, per_second)
    why = Why.UPSTREAM_LIMIT if soonest.why in _LIMITED else Why.UPSTREAM_DOWN
    goes_on = f"; it goes on at {_moment(begin)}" if begin else ""
    return Waiting(why, f"{soonest.sentence}{goes_on}", until=begin, ahead=one.ahead, estimated_at=at)


def _leads_nowhere(one: Standing, around: Surroundings) -> str:
    route = around.routing.route(one.route_id)
    if route is None:
        return around.routing.why_nowhere
    return f"Route {route.name} leads to no upstream that is switched on"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# --- asking the database --------------------------------------------------------------------------


_ASKED_AT_ONCE = 500
_KEY = tuple_(deliveries.c.message_id, deliveries.c.part)
_STANDING = select(
    deliveries.c.message_id,
    deliveries.c.part,
    deliveries.c.state,
    deliveries.c.route_id,
    deliveries.c.due_at,
    deliveries.c.rank_at,
    deliveries.c.attempts,
    deliveries.c.reason,
    deliveries.c.leased_by,
    messages.c.user_id,
).join_from(deliveries, messages)
_RIVALS = deliveries.c.route_id.in_(bindparam("route_ids", expanding=True)) & (
    deliveries.c.rank_at < bindparam("rank_at", type_=deliveries.c.rank_at.type)
)
QUEUED_AHEAD = select(func.count()).select_from(
    select(literal(1)).where(IS_QUEUED, _RIVALS).limit(bindparam("at_most")).subquery()
)
IN_HAND_AHEAD = select(func.count()).select_from(deliveries).where(IS_LEASED, _RIVALS)


def look_around(tx: Connection, sealer: Sealer, now: datetime) -> Surroundings:
    """Read what decides over all that waits."""
    return Surroundings(
        now, load_stops(tx), routes.load(tx, sealer), load_stands(tx, now), recent_durations(tx)
    )


def why_waiting(
    tx: Connection, keys: Sequence[DeliveryKey], around: Surroundings, *, at_most: int = 100_000
) -> Mapping[DeliveryKey, Waiting]:
    """Say why each of these deliveries waits; those ahead of it are counted up to *at_most*."""
    in_demand = routes_in_demand(tx)
    rows = [
        row
        for start in range(0, len(keys), _ASKED_AT_ONCE)
        for row in tx.execute(_STANDING.where(_KEY.in_(keys[start : start + _ASKED_AT_ONCE])))
    ]
    return {
        DeliveryKey(row.message_id, row.part): explain(
            Standing(
                row.state,
                row.route_id,
                row.due_at,
                row.attempts,
                reason=row.reason,
                leased_by=row.leased_by,
                user_id=row.user_id,
                ahead=(ahead := _ahead_of(tx, row, in_demand, around, at_most)),
                is_more=ahead >= at_most,
            ),
            around,
        )
        for row in rows
    }


def _ahead_of(
    tx: Connection, row: Any, in_demand: Collection[str], around: Surroundings, at_most: int
) -> int:
    """How many deliveries go before this one, in the table and in the hands of processes."""
    if row.state is not DeliveryState.QUEUED:
        return 0
    rivals = _sharing(row.route_id, in_demand, around)
    known = {"route_ids": rivals, "rank_at": row.rank_at, "at_most": at_most}
    queued: int = tx.execute(QUEUED_AHEAD, known).scalar_one()
    if queued == at_most:
        return queued
    in_hand: int = tx.execute(IN_HAND_AHEAD, known).scalar_one()
    return min(queued + in_hand, at_most)


def _sharing(route_id: str, in_demand: Collection[str], around: Surroundings) -> list[str]:
    """The routes with mail that lead where this one does, itself among them."""
    own = {upstream.id for upstream in around.upstreams_of(route_id)}
    sharing = {each for each in in_demand if own.intersection(u.id for u in around.upstreams_of(each))}
    return sorted(sharing | {route_id})
