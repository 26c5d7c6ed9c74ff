"""Stopping the queue and starting it again: all of it, what goes to one upstream, or what one user sent.

Stopped mail stays in the queue, in its order, and new mail joins it; what is being sent at the moment
may finish.  Nothing else changes: time goes on, and what gets too old meanwhile is given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import stops, upstreams, users


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a stop goes: what goes to an upstream, what a user sent, or everything if neither is named."""

    upstream_id: str | None = None
    user_id: str | None = None


EVERYTHING = Reach()


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in force: how far it goes (`name` is the upstream's or user's), who made it, when and why."""

    reach: Reach
    name: str
    reason: str
    by: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Why mail does not move; without a full stop, as all reasons are."""
        because = f": {self.reason}" if self.reason else ""
        return f"{self.what[:1].upper()}{self.what[1:]} was stopped by {self.by}{because}"

    @property
    def what(self) -> str:
        """What is stopped, in words."""
        if self.reach.upstream_id is not None:
            return f"mail to the upstream {self.name}"
        return f"mail of the user {self.name}" if self.reach.user_id is not None else "the queue"


@dataclass(frozen=True, slots=True)
class Stops:
    """All stops in force at one moment; those of upstreams and users by their ids."""

    everything: Stop | None = None
    upstreams: Mapping[str, Stop] = field(default_factory=dict)
    users: Mapping[str, Stop] = field(default_factory=dict)

    @property
    def all(self) -> Sequence[Stop]:
        """Every one of them, the widest first."""
        widest = () if self.everything is None else (self.everything,)
        return (*widest, *self.upstreams.values(), *self.users.values())

    def of(self, *, upstream_id: str | None = None, user_id: str | None = None) -> Stop | None:
        """What stops mail of this user on its way to this upstream, if anything does."""
        return (
            self.everything
            or (self.upstreams.get(upstream_id) if upstream_id else None)
            or (self.users.get(user_id) if user_id else None)
        )


@dataclass(frozen=True, slots=True)
class StopMail:
    """*by* stops what `reach` says, that is `name`; an earlier stop of the same gives way to this one."""

    by: Author
    reach: Reach
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StartMail:
    """*by* ends the stop of just this reach; others go on."""

    by: Author
    reach: Reach
    name: str


_LOAD = (
    select(stops, upstreams.c.name.label("upstream"), users.c.name.label("user"))
    .outerjoin(upstreams, upstreams.c.id == stops.c.upstream_id)
    .outerjoin(users, users.c.id == stops.c.user_id)
    .order_by(stops.c.id)
)


def load_stops(tx: Connection) -> Stops:
    """Return the stops in force."""
    found = [
        Stop(Reach(row.upstream_id, row.user_id), row.upstream or row.user or "", row.reason, row.by, row.at)
        for row in tx.execute(_LOAD)
    ]
    return Stops(
        everything=next((stop for stop in found if stop.reach == EVERYTHING), None),
        upstreams={stop.reach.upstream_id: stop for stop in found if stop.reach.upstream_id},
        users={stop.reach.user_id: stop for stop in found if stop.reach.user_id},
    )


def stop_mail(tx: Connection, items: Sequence[StopMail]) -> list[bool]:
    """Stop mail; True for each that was not stopped before."""
    return [_stop(tx, item) for item in items]


def _stop(tx: Connection, item: StopMail) -> bool:
    is_news = not _end(tx, item.reach)
    tx.execute(
        insert(stops).values(
            id=item.by.id(),
            upstream_id=item.reach.upstream_id,
            user_id=item.reach.user_id,
            reason=item.reason,
            by=item.by.actor,
            at=item.by.at,
        )
    )
    record(tx, item.by, "queue.stop", item.name, detail=_told(item.reach) | {"reason": item.reason})
    bump(tx, Subject.CONTROL)
    return is_news


def start_mail(tx: Connection, items: Sequence[StartMail]) -> list[bool]:
    """Let mail move again; False for each that was not stopped."""
    return [_start(tx, item) for item in items]


def _start(tx: Connection, item: StartMail) -> bool:
    was_stopped = _end(tx, item.reach)
    if was_stopped:
        record(tx, item.by, "queue.start", item.name, detail=_told(item.reach))
        bump(tx, Subject.CONTROL)
    return was_stopped


def _end(tx: Connection, reach: Reach) -> bool:
    same = stops.c.upstream_id.is_not_distinct_from(reach.upstream_id) & stops.c.user_id.is_not_distinct_from(
        reach.user_id
    )
    return tx.execute(delete(stops).where(same)).rowcount > 0


def _told(reach: Reach) -> dict[str, str]:
    if reach.upstream_id is not None:
        return {"what": "upstream"}
    return {"what": "everything" if reach.user_id is None else "user"}
