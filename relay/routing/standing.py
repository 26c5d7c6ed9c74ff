"""How upstreams stand: whether each takes mail now, and if not, why and until when.

Each process writes down what it finds out, when that changes.  Others read it about once a second, and
need not find out for themselves (`relay.delivery.standing`); `why_shut` puts together what they wrote, for
whoever asks why mail waits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, delete, select

from relay.db.nodes import DEAD_AFTER
from relay.db.tables import nodes, upstream_standing, upstreams
from relay.db.upsert import insert_for
from relay.routing.upstreams import Upstream


class State(StrEnum):
    """What an upstream does with mail: takes it, or not, and why not."""

    WORKS = "works"
    OFF = "off"  # switched off by an operator; never written down
    DOWN = "down"  # it could not be sent to, and is left alone until the next probe
    PROBING = "probing"  # one delivery finds out whether it works again
    SPENT = "spent"  # it had all that it may be given in this minute, hour or day
    PAUSING = "pausing"  # between two batches


@dataclass(frozen=True, slots=True)
class Stand:
    """How an upstream stands with the process *owner*, since a moment, until the next probe or window.

    `reason` is what it said, or which limit it is.  `slowed_to` is the number of connections it is
    given since it asked for fewer; below 1 it is one, that rests so long (1 / `slowed_to` seconds)
    between two messages.  None: it was not slowed down.
    """

    upstream_id: str
    owner: str
    state: State
    since: datetime
    until: datetime | None = None
    reason: str | None = None
    slowed_to: float | None = None


@dataclass(frozen=True, slots=True)
class Shut:
    """Why an upstream takes nothing now, until when as far as that is known, and in a sentence."""

    why: State
    until: datetime | None
    sentence: str


def why_shut(upstream: Upstream, stands: Iterable[Stand], now: datetime) -> Shut | None:
    """Say why *upstream* takes nothing now; None: it takes mail.

    *stands* are those of the living processes (see `load_stands`); one with which it works is enough.
    """
    if not upstream.is_enabled:
        return Shut(State.OFF, None, sentence(State.OFF, upstream.name))
    told = [stand for stand in stands if stand.upstream_id == upstream.id]
    if not told or any(_takes_mail(stand, now) for stand in told):
        return None
    soonest = min(told, key=lambda stand: stand.until or now)
    state = soonest.state
    if state is State.DOWN and soonest.until is not None and soonest.until <= now:
        state = State.PROBING
    return Shut(state, soonest.until, sentence(state, upstream.name, soonest.reason))


def _takes_mail(stand: Stand, now: datetime) -> bool:
    if stand.state in {State.SPENT, State.PAUSING}:
        return stand.until is not None and stand.until <= now
    return stand.state is State.WORKS


def sentence(state: State, name: str, reason: str | None = None) -> str:
    """How the upstream *name* stands, in words; without a full stop, as all reasons are."""
    match state:
        case State.WORKS:
            return f"Upstream {name} works"
        case State.OFF:
            return f"Upstream {name} was switched off"
        case State.DOWN | State.PROBING:
            return f"Upstream {name} is down: {reason}"
        case State.SPENT:
            return f"Upstream {name} has had its {reason}"
        case State.PAUSING:
            return f"Upstream {name} pauses after a batch of {reason}"


_LIVING = select(nodes.c.owner).where(nodes.c.seen_at > bindparam("since"))
_FACTS = ("state", "since", "until", "reason", "slowed_to")


def record_stands(tx: Connection, items: Sequence[Stand]) -> list[None]:
    """Keep how upstreams stand; of several for the same upstream and process the last.

    One for an upstream that was deleted meanwhile is dropped.
    """
    latest = {(item.upstream_id, item.owner): item for item in items}
    known = set(
        tx.execute(select(upstreams.c.id).where(upstreams.c.id.in_({key[0] for key in latest}))).scalars()
    )
    rows = [asdict(item) for key, item in sorted(latest.items()) if key[0] in known]
    if rows:
        statement = insert_for(tx, upstream_standing)
        tx.execute(
            statement.on_conflict_do_update(
                index_elements=[upstream_standing.c.upstream_id, upstream_standing.c.owner],
                set_={name: statement.excluded[name] for name in _FACTS},
            ),
            rows,
        )
    return [None] * len(items)


def forget_stands(tx: Connection, owners: Sequence[str]) -> list[None]:
    """Drop what processes wrote in an earlier life: each begins with an open mind."""
    tx.execute(delete(upstream_standing).where(upstream_standing.c.owner.in_(owners)))
    return [None] * len(owners)


def load_stands(tx: Connection, now: datetime, *, but_of: str = "") -> Mapping[str, Sequence[Stand]]:
    """Return how upstreams stand with the processes that live, by upstream; of untroubled ones nothing.

    *but_of*: all but this process.
    """
    found = defaultdict[str, list[Stand]](list)
    query = select(upstream_standing).where(
        upstream_standing.c.owner.in_(_LIVING), upstream_standing.c.owner != but_of
    )
    for row in tx.execute(query.order_by(upstream_standing.c.owner), {"since": now - DEAD_AFTER}):
        stand = Stand(
            row.upstream_id,
            row.owner,
            State(row.state),
            since=row.since,
            until=row.until,
            reason=row.reason,
            slowed_to=row.slowed_to,
        )
        found[stand.upstream_id].append(stand)
    return found
