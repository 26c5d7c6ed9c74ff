"""When a delivery will probably be sent: how many go before it, by how fast its upstreams take them.

Simple on purpose.  With a backlog every connection is busy, so an upstream carries its connections
divided by how long one delivery takes; how long that is, the last attempts tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from statistics import fmean

from sqlalchemy import Connection, select

from relay.db.tables import attempts
from relay.routing.upstreams import Upstream

_LOOKED_AT = 1000  # attempts of the youngest messages
_SHORTEST = timedelta(milliseconds=1)  # clocks are not finer, and nothing takes no time

_LAST = (
    select(attempts.c.upstream, attempts.c.started_at, attempts.c.finished_at)
    .where(attempts.c.upstream.is_not(None))
    .order_by(attempts.c.message_id.desc(), attempts.c.part.desc(), attempts.c.number.desc())
    .limit(_LOOKED_AT)
)


def recent_durations(tx: Connection) -> Mapping[str, timedelta]:
    """Return how long an attempt took on average of late, by the upstream's name."""
    taken = defaultdict[str, list[float]](list)
    for upstream, started_at, finished_at in tx.execute(_LAST):
        taken[upstream].append((finished_at - started_at).total_seconds())
    return {name: max(timedelta(seconds=fmean(seconds)), _SHORTEST) for name, seconds in taken.items()}


def pace(upstreams: Iterable[Upstream], durations: Mapping[str, timedelta]) -> float | None:
    """Deliveries a second that these carry together; None if none of them was ever tried."""
    known = [_carries(each, durations[each.name]) for each in upstreams if each.name in durations]
    return sum(known) if known else None


def _carries(upstream: Upstream, duration: timedelta) -> float:
    """Deliveries a second over all connections, and no more than its limits allow."""
    limits = upstream.limits
    allowed = ((limits.per_minute, 60), (limits.per_hour, 3600), (limits.per_day, 86400))
    batches = ((limits.batch, limits.pause),) if limits.pause else ()
    rates: list[float] = [most / seconds for most, seconds in (*allowed, *batches) if most is not None]
    return min([upstream.concurrency / duration.total_seconds(), *rates])


def estimated_at(begin: datetime, ahead: int, per_second: float | None) -> datetime | None:
    """When its turn comes, if *ahead* others go first from *begin* on; None if nobody can tell."""
    if ahead == 0:
        return begin
    return None if per_second is None else begin + timedelta(seconds=ahead / per_second)
