"""The tokens that upstreams are logged in to with: sealed, and got by one process for all.

Whoever finds that a new one is due takes the turn (a lease in the token's row), asks for it, and
stores it, which ends the turn.  A process that dies over it is waited for until its lease runs out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from relay.db.audit import Author, record
from relay.db.tables import upstream_tokens
from relay.db.upsert import insert_for
from relay.routing.upstreams import Password
from relay.sealing import Sealer

_OF = upstream_tokens.c


@dataclass(frozen=True, slots=True)
class Token:
    """What there is to log in with: the token itself and until when, and the right to the next one."""

    access: Password | None = None
    expires_at: datetime | None = None
    refresh: Password | None = None
    refreshed_at: datetime | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """*owner* wants to get the next token, by `until` at the latest."""

    upstream_id: str
    owner: str
    now: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Fetched:
    """A new token; `refresh_sealed` None: the right to the next one stays as it was."""

    upstream_id: str
    access_sealed: bytes
    expires_at: datetime
    at: datetime
    refresh_sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """Somebody gave the relay the right to log in to the upstream of this name."""

    by: Author
    name: str
    fetched: Fetched


@dataclass(frozen=True, slots=True)
class NotFetched:
    """The turn brought no token, and why."""

    upstream_id: str
    owner: str
    fault: str


def find_token(tx: Connection, upstream_id: str, sealer: Sealer) -> Token:
    """Return what there is for this upstream, which may be nothing."""
    row = tx.execute(select(upstream_tokens).where(_OF.upstream_id == upstream_id)).one_or_none()
    if row is None:
        return Token()
    return Token(
        access=None if row.access_sealed is None else Password(bytes(row.access_sealed), sealer),
        expires_at=row.expires_at,
        refresh=None if row.refresh_sealed is None else Password(bytes(row.refresh_sealed), sealer),
        refreshed_at=row.refreshed_at,
        fault=row.fault,
    )


def take_turn(tx: Connection, items: Sequence[Turn]) -> list[bool]:
    """Take the turn to get a token; False where somebody else has it."""
    return [_take_turn(tx, item) for item in items]


def _take_turn(tx: Connection, item: Turn) -> bool:
    lease = {"lease_owner": item.owner, "lease_until": item.until}
    statement = insert_for(tx, upstream_tokens).values(upstream_id=item.upstream_id, **lease)
    taken = statement.on_conflict_do_update(
        index_elements=[_OF.upstream_id],
        set_=lease,
        where=or_(_OF.lease_until.is_(None), _OF.lease_until <= item.now),
    ).returning(_OF.upstream_id)
    return tx.execute(taken).first() is not None


def store_token(tx: Connection, items: Sequence[Fetched]) -> list[None]:
    """Keep new tokens, and end the turns that got them."""
    for item in items:
        fresh: dict[str, object] = {
            "access_sealed": item.access_sealed,
            "expires_at": item.expires_at,
            "refreshed_at": item.at,
            "lease_owner": None,
            "lease_until": None,
            "fault": None,
        }
        if item.refresh_sealed is not None:
            fresh["refresh_sealed"] = item.refresh_sealed
        statement = insert_for(tx, upstream_tokens).values(upstream_id=item.upstream_id, **fresh)
        tx.execute(statement.on_conflict_do_update(index_elements=[_OF.upstream_id], set_=fresh))
    return [None] * len(items)


def give_consent(tx: Connection, items: Sequence[Consent]) -> list[None]:
    """Keep what came with consent."""
    store_token(tx, [item.fetched for item in items])
    for item in items:
        record(tx, item.by, "upstream.authorize", item.name)
    return [None] * len(items)


def end_turn(tx: Connection, items: Sequence[NotFetched]) -> list[None]:
    """End turns that brought nothing; "" is no fault: the token was there already."""
    for item in items:
        statement = update(upstream_tokens).where(
            _OF.upstream_id == item.upstream_id, _OF.lease_owner == item.owner
        )
        told = {"fault": item.fault} if item.fault else {}
        tx.execute(statement.values(lease_owner=None, lease_until=None, **told))
    return [None] * len(items)


def forget_token(tx: Connection, upstream_id: str) -> None:
    """Drop the token of an upstream whose login was changed; the consent, if there is one, stays."""
    tx.execute(
        update(upstream_tokens)
        .where(_OF.upstream_id == upstream_id)
        .values(access_sealed=None, expires_at=None, fault=None)
    )
