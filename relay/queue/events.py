"""What was refused, and why: kept for whoever asks "why did my mail not get in?"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from relay.db.batch import Batch
from relay.db.tables import events

AT_MOST = 1000
"""How many rows one call of `purge_events` deletes; call again until it is fewer."""


@dataclass(frozen=True, slots=True)
class Event:
    """One refusal: when, of whom, from where, by which rule, with which reply; `facts` say the rest.

    `times` in the facts is how often the same happened within that minute.
    """

    id: str
    at: datetime
    kind: str
    user_name: str | None
    peer_address: str | None
    rule: str
    reply: str
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """Events that fit all that is named; `rule` and `peer` may be only the beginning of theirs."""

    user: str | None = None
    rule: str | None = None
    peer: str | None = None
    since: datetime | None = None
    limit: int = 50


_INSERT = Batch(insert(events))


def record_events(tx: Connection, items: Sequence[Sequence[Event]]) -> list[int]:
    """Keep events; return how many, for each sequence of them."""
    _INSERT.run(tx, [_row(event) for each in items for event in each])
    return [len(each) for each in items]


def find_events(tx: Connection, search: Search) -> list[Event]:
    """Return the newest events that fit, the newest first."""
    query = select(events).order_by(events.c.at.desc(), events.c.id.desc()).limit(search.limit)
    if search.user is not None:
        query = query.where(events.c.user_name == search.user)
    if search.rule is not None:
        query = query.where(events.c.rule.startswith(search.rule, autoescape=True))
    if search.peer is not None:
        query = query.where(events.c.peer_address.startswith(search.peer, autoescape=True))
    if search.since is not None:
        query = query.where(events.c.at >= search.since)
    return [
        Event(
            row.id,
            row.at,
            row.kind,
            row.user_name,
            row.peer_address,
            row.rule or "",
            row.reply or "",
            json.loads(row.facts),
        )
        for row in tx.execute(query)
    ]


def purge_events(tx: Connection, moments: Sequence[datetime]) -> list[int]:
    """Forget what happened before each of *moments*; return how many events."""
    return [_purge(tx, before) for before in moments]


def _purge(tx: Connection, before: datetime) -> int:
    oldest = select(events.c.id).where(events.c.at < before).order_by(events.c.at).limit(AT_MOST)
    return tx.execute(delete(events).where(events.c.id.in_(oldest))).rowcount


def _row(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "at": event.at,
        "kind": event.kind,
        "user_name": event.user_name,
        "peer_address": event.peer_address,
        "rule": event.rule,
        "reply": event.reply,
        "facts": json.dumps(event.facts, ensure_ascii=False).replace("\\u0000", ""),
    }
