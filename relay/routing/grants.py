"""Sharing the limits of an upstream among all processes, exactly.

A process asks for a few messages at a time, in a transaction of its own; what was given is counted in
one row for each limit.  So all processes of all nodes together never begin more than the limit says,
and none of them has to hear of the others.  What a process will not begin any more it gives back (`refund`);
what it had when it was killed lapses.  Windows are those of the calendar, by the clock of whoever
asks; the clocks of nodes are expected to agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, select

from relay.db.batch import Batch
from relay.db.tables import upstream_grants
from relay.db.upsert import insert_for
from relay.routing.limits import Limits
from relay.routing.standing import State

OF_A_BATCH_FOR = timedelta(seconds=2)
"""How long what was given of a batch may wait to be begun.

The pause is counted from when the last message began, as soon as whoever were given some have told that
they began them all; from the end of this time if one of them does not.
"""

_SLICE = 8  # nobody is given more than an eighth of what is left, for he may not come to use it
_BATCH = "batch"
_BEGUN = "begun"  # of the batch: how many of those given are known to have begun, the last of them at `until`
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Begun:
    """So many messages of those given of a `batch` have begun, the last of them at `last`."""

    batch: datetime
    messages: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """A process would begin so many messages now.

    `begun` is what it began since it asked before.  It is told once and never again, even if nobody knows
    whether it was heard: told twice, it would stand for messages that others have yet to begin.
    """

    upstream_id: str
    limits: Limits
    wanted: int
    now: datetime
    begun: Begun | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """So many `messages` may be begun before `until`.

    If they are none, `until` is when it may be asked again, `why` and `spent` what keeps it.  `batch` is
    the batch that they are of, by when it began, if they are of any.
    """

    messages: int
    until: datetime
    why: State = State.WORKS
    spent: str = ""
    batch: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """So many `messages` of a grant that is still in force will not be begun."""

    upstream_id: str
    limits: Limits
    messages: int
    now: datetime


@dataclass(slots=True)
class _Count:
    """A row: what was given in the window that began then; the last of it may begin before `until`."""

    began: datetime
    granted: int
    until: datetime


_COUNTS = (
    select(upstream_grants)
    .where(upstream_grants.c.upstream_id == bindparam("upstream_id"))
    .order_by(upstream_grants.c.span)
    .with_for_update()
)
_KEEP = Batch(
    upstream_grants.update()
    .where(upstream_grants.c.upstream_id == bindparam("of"), upstream_grants.c.span == bindparam("in_span"))
    .values(began=bindparam("now_began"), granted=bindparam("now_granted"), until=bindparam("now_until"))
)


def grant(tx: Connection, items: Sequence[Ask]) -> list[Grant]:
    """Give each what is left for it.  Upstreams are asked in one order, so that nobody waits for ever."""
    given: dict[int, Grant] = {}
    for place in sorted(range(len(items)), key=lambda place: items[place].upstream_id):
        given[place] = _grant(tx, items[place])
    return [given[place] for place in range(len(items))]


def _grant(tx: Connection, ask: Ask) -> Grant:
    counts = _counts(tx, ask)
    left, until, closed = ask.wanted, datetime.max.replace(tzinfo=UTC), []
    for quota in ask.limits.quotas:
        count, began = counts[quota.window.value], quota.window.begin(ask.now)
        # One that is not the next by another node's clock either is of a time when the clock was ahead.
        if not began <= count.began <= quota.window.end(ask.now):
            count.began, count.granted = began, 0
        count.until = quota.window.end(count.began)
        left = min(left, _slice_of(quota.most - count.granted))
        if count.granted >= quota.most:
            closed.append(Grant(0, count.until, State.SPENT, str(quota)))
        until = min(until, count.until)
    batch = None
    if ask.limits.batch is not None:
        batch, most = _batch(counts, ask), ask.limits.batch
        left = min(left, most - batch.granted)
        if batch.granted >= most:
            reopens = _reopens(batch, counts[_BEGUN], ask)
            closed.append(Grant(0, reopens, State.PAUSING, f"{most} messages"))
        until = min(until, ask.now + OF_A_BATCH_FOR)
    if closed:
        if ask.begun is not None:
            _keep(tx, ask.upstream_id, counts)
        return max(closed, key=lambda none: none.until)
    if batch is not None:
        batch.until = max(batch.until, until)
    for span, count in counts.items():
        count.granted += 0 if span == _BEGUN else left
    _keep(tx, ask.upstream_id, counts)
    return Grant(left, until, batch=batch.began if batch else None)


def _batch(counts: Mapping[str, _Count], ask: Ask) -> _Count:
    """The batch that goes on now, or a new one if there was a pause behind the last."""
    batch, begun = counts[_BATCH], counts[_BEGUN]
    if ask.begun is not None and ask.begun.batch == batch.began:
        begun.granted += ask.begun.messages
        begun.until = max(begun.until, ask.begun.last)
        if begun.granted == batch.granted:
            batch.until = begun.until
    was_ahead = batch.began - ask.now > ask.limits.rest + OF_A_BATCH_FOR  # the clock, since set back
    if was_ahead or ask.now >= batch.until + ask.limits.rest:
        batch.began, batch.granted, batch.until = ask.now, 0, ask.now
        begun.began, begun.granted, begun.until = ask.now, 0, ask.now
    return batch


def _reopens(batch: _Count, begun: _Count, ask: Ask) -> datetime:
    """When to ask again: sooner while somebody has yet to tell whether what he was given has begun."""
    latest = batch.until + ask.limits.rest
    soonest = latest if begun.granted == batch.granted else latest - OF_A_BATCH_FOR
    return soonest if soonest > ask.now else latest


def refund(tx: Connection, items: Sequence[Refund]) -> list[None]:
    """Let others have what was given back, of each limit that it was given under."""
    for item in sorted(items, key=lambda item: item.upstream_id):
        found = _locked(tx, item.upstream_id)
        counts = {span: count for span, count in found.items() if _is_of(count, span, item)}
        for count in counts.values():
            count.granted = max(count.granted - item.messages, 0)
        _keep(tx, item.upstream_id, counts)
    return [None] * len(items)


def _is_of(count: _Count, span: str, item: Refund) -> bool:
    """Whether *count* holds the messages of *item*: a batch does as long as any grant of it is in force."""
    if span in {_BATCH, _BEGUN}:
        return span == _BATCH and item.limits.batch is not None
    return any(q.window.value == span and q.window.begin(item.now) == count.began for q in item.limits.quotas)


def _keep(tx: Connection, upstream_id: str, counts: Mapping[str, _Count]) -> None:
    _KEEP.run(
        tx,
        [
            {
                "of": upstream_id,
                "in_span": span,
                "now_began": count.began,
                "now_granted": count.granted,
                "now_until": count.until,
            }
            for span, count in counts.items()
        ],
    )


def _slice_of(left: int) -> int:
    return -(-left // _SLICE)


def _counts(tx: Connection, ask: Ask) -> dict[str, _Count]:
    """The rows of all limits that *ask* is under, locked; made if they are not there yet."""
    spans = {quota.window.value for quota in ask.limits.quotas}
    if ask.limits.batch is not None:
        spans |= {_BATCH, _BEGUN}
    found = _locked(tx, ask.upstream_id)
    if missing := spans - found.keys():
        statement = insert_for(tx, upstream_grants).on_conflict_do_nothing()
        rows = [
            {"upstream_id": ask.upstream_id, "span": span, "began": _NEVER, "granted": 0, "until": _NEVER}
            for span in sorted(missing)
        ]
        tx.execute(statement, rows)
        found = _locked(tx, ask.upstream_id)
    return {span: found[span] for span in sorted(spans)}


def _locked(tx: Connection, upstream_id: str) -> dict[str, _Count]:
    rows = tx.execute(_COUNTS, {"upstream_id": upstream_id})
    return {row.span: _Count(row.began, row.granted, row.until) for row in rows}
