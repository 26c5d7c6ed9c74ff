"""How upstreams fare: written by whoever speaks to one, shown to whoever runs the relay.

None of it changes where mail goes, so none of it makes the processes read the routing anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, func, select, update

from relay.db.batch import Batch
from relay.db.tables import upstreams


class CheckResult(StrEnum):
    """How the last step-by-step check of an upstream ended; before the first there is none."""

    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """A check was made; `detail` is its verdict in a sentence."""

    upstream_id: str
    at: datetime
    result: CheckResult
    detail: str


@dataclass(frozen=True, slots=True)
class CheckRound:
    """Upstreams that were last checked, or made, before `since` are to be checked `at` this moment."""

    at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life: the upstream was connected to, or took a message, at this moment."""

    upstream_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """All that is known of how an upstream fares."""

    last_check_at: datetime | None = None
    last_check: CheckResult | None = None
    last_check_detail: str | None = None
    last_connected_at: datetime | None = None
    last_success_at: datetime | None = None


_BEFORE_CHECK = upstreams.c.is_enabled & (
    func.coalesce(upstreams.c.last_check_at, upstreams.c.created_at) < bindparam("since")
)
_ANY_DUE = select(upstreams.c.id).where(_BEFORE_CHECK).limit(1)
_TAKE_DUE = (
    update(upstreams).where(_BEFORE_CHECK).values(last_check_at=bindparam("at")).returning(upstreams.c.id)
)
_OF = upstreams.c.id == bindparam("of")
_CHECKED = Batch(
    update(upstreams)
    .where(_OF)
    .values(
        last_check_at=bindparam("at"), last_check=bindparam("result"), last_check_detail=bindparam("detail")
    )
)
_CONNECTED = Batch(update(upstreams).where(_OF).values(last_connected_at=bindparam("at")))
_SUCCEEDED = Batch(update(upstreams).where(_OF).values(last_success_at=bindparam("at")))


def are_checks_due(tx: Connection, since: datetime) -> bool:
    """Whether `take_checks` would find any: a read, so that an idle node writes nothing."""
    return tx.execute(_ANY_DUE, {"since": since}).first() is not None


def take_checks(tx: Connection, items: Sequence[CheckRound]) -> list[list[str]]:
    """Take the upstreams whose check is due, by their ids: no other process then finds them due."""
    return [list(tx.execute(_TAKE_DUE, {"at": item.at, "since": item.since}).scalars()) for item in items]


def record_check(tx: Connection, items: Sequence[Check]) -> list[None]:
    """Keep the outcome of checks."""
    latest = {item.upstream_id: item for item in sorted(items, key=lambda item: item.at)}
    rows = [
        {"of": check.upstream_id, "at": check.at, "result": check.result.value, "detail": check.detail}
        for _, check in sorted(latest.items())
    ]
    _CHECKED.run(tx, rows)
    return [None] * len(items)


def record_connected(tx: Connection, items: Sequence[Sign]) -> list[None]:
    """Keep when upstreams were last connected to."""
    _CONNECTED.run(tx, _latest(items))
    return [None] * len(items)


def record_success(tx: Connection, items: Sequence[Sign]) -> list[None]:
    """Keep when upstreams last took a message."""
    _SUCCEEDED.run(tx, _latest(items))
    return [None] * len(items)


def load_health(tx: Connection) -> Mapping[str, Health]:
    """Return how each upstream fares, by its id."""
    return {
        row.id: Health(
            last_check_at=row.last_check_at,
            last_check=None if row.last_check is None else CheckResult(row.last_check),
            last_check_detail=row.last_check_detail,
            last_connected_at=row.last_connected_at,
            last_success_at=row.last_success_at,
        )
        for row in tx.execute(select(upstreams))
    }


def _latest(items: Sequence[Sign]) -> list[dict[str, object]]:
    """One row an upstream, in one order, so that two processes cannot wait for each other."""
    latest: dict[str, datetime] = {}
    for item in items:
        latest[item.upstream_id] = max(item.at, latest.get(item.upstream_id, item.at))
    return [{"of": upstream_id, "at": at} for upstream_id, at in sorted(latest.items())]
