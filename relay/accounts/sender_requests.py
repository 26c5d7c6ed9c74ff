"""Asking for a sender that is not granted: raised after a refusal, decided by an operator or by the address.

Only what is decided here is granted; what becomes of held mail is the queue's business.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from relay.accounts.users import find
from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import grants, sender_requests, users
from relay.db.upsert import insert_for
from relay.mail.address import Address
from relay.policy.grants import Grants

MOST_OPEN = 10  # requests of one user that nobody decided
LINK_LIFETIME = timedelta(days=7)
_LOOKED_UP = 8  # letters of a token's hash
BETWEEN_LINKS = timedelta(hours=24)  # the least time between two letters about the same request


class BadRequest(ValueError):
    """A sender cannot be asked for, or decided on, so; the message says why."""


class NoSuchRequest(LookupError):
    """There is no such request, or none that could still be decided."""


class State(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class SenderRequest:
    """A user wants to send as an address."""

    id: str
    user_id: str
    user: str
    address: str
    state: State
    requested_at: datetime
    decided_at: datetime | None
    decided_by: str | None

    def is_link_good(self, now: datetime) -> bool:
        """Whether the link that was mailed may still be followed."""
        return self.state is State.OPEN and now - self.requested_at < LINK_LIFETIME


@dataclass(frozen=True, slots=True)
class Wish:
    """*user* would like to send as *address*; `token_hash` is of the link that goes to the address."""

    by: Author
    user: str
    address: Address
    token_hash: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """An operator approves or declines request *id*."""

    by: Author
    id: str
    is_approved: bool


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Somebody who reads the address's mail followed the link."""

    by: Author
    token: str


def make_token() -> tuple[str, str]:
    """Return a fresh token for a link, and its hash, which alone is stored."""
    token = secrets.token_hex(20)  # of letters and digits only: it is typed at a command line
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """Return what is stored of *token*."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_requests(tx: Connection, *, state: State | None = None) -> list[SenderRequest]:
    """Return requests, the newest first."""
    query = _REQUESTS.order_by(sender_requests.c.requested_at.desc(), sender_requests.c.id.desc())
    if state is not None:
        query = query.where(sender_requests.c.state == state.value)
    return [_request(row) for row in tx.execute(query)]


def find_linked(tx: Connection, token: str) -> SenderRequest | None:
    """Return the request whose link has *token*, however it stands; None if no link has (any more)."""
    wanted = hash_token(token)
    alike = tx.execute(
        _REQUESTS.where(func.substr(sender_requests.c.token_hash, 1, _LOOKED_UP) == wanted[:_LOOKED_UP])
    )
    # The database finds by a few letters; the rest is compared in a time that tells nothing.
    found = [row for row in alike if secrets.compare_digest(row.token_hash, wanted)]
    return _request(found[0]) if found else None


def raise_requests(tx: Connection, items: Sequence[Wish]) -> list[SenderRequest]:
    """Note what users ask for; a wish that is open already is asked for anew, with another link.

    Raises NoSuchUser, or BadRequest: it is granted already, was asked for a moment ago, or the user has
    too many open requests.
    """
    return [_raise(tx, item) for item in items]


def rule(tx: Connection, items: Sequence[Ruling]) -> list[SenderRequest]:
    """Decide requests; an approved sender is granted at once.  Raises NoSuchRequest."""
    return [
        _decide(tx, sender_requests.c.id == item.id, item.by, is_approved=item.is_approved) for item in items
    ]


def confirm(tx: Connection, items: Sequence[Confirmation]) -> list[SenderRequest]:
    """Grant what the owner of the address agreed to; a link is good once.  Raises NoSuchRequest."""
    return [_confirm(tx, item) for item in items]


_NOT_OPEN = "There is no such open request: it was decided, or its time is over."
_REQUESTS = select(sender_requests, users.c.name).join(users, users.c.id == sender_requests.c.user_id)


def _raise(tx: Connection, item: Wish) -> SenderRequest:
    account, address = find(tx, item.user), item.address.key
    if Grants(account.profile.patterns).allow(item.address):
        raise BadRequest(f"{account.name} may send as {address} already.")
    mine = (sender_requests.c.user_id == account.id) & (sender_requests.c.state == State.OPEN.value)
    standing = tx.execute(
        _REQUESTS.where(mine, sender_requests.c.address == address).with_for_update(of=sender_requests)
    ).first()
    if standing is not None and item.by.at - standing.requested_at < BETWEEN_LINKS:
        raise BadRequest(f"{address} was asked within the last day; wait for the answer, or approve it.")
    if standing is not None:
        tx.execute(
            update(sender_requests)
            .where(sender_requests.c.id == standing.id)
            .values(token_hash=item.token_hash, requested_at=item.by.at)
        )
        return _request(tx.execute(_REQUESTS.where(sender_requests.c.id == standing.id)).one())
    count = tx.execute(select(func.count()).select_from(sender_requests).where(mine)).scalar_one()
    if count >= MOST_OPEN:
        raise BadRequest(f"{account.name} has {count} open requests; decide some of them first.")
    request_id = item.by.id()
    tx.execute(
        insert(sender_requests).values(
            id=request_id,
            user_id=account.id,
            address=address,
            state=State.OPEN.value,
            token_hash=item.token_hash,
            requested_at=item.by.at,
        )
    )
    record(tx, item.by, "sender.request", account.name, detail={"address": address})
    return _request(tx.execute(_REQUESTS.where(sender_requests.c.id == request_id)).one())


def _confirm(tx: Connection, item: Confirmation) -> SenderRequest:
    linked = find_linked(tx, item.token)
    if linked is None or not linked.is_link_good(item.by.at):
        raise NoSuchRequest(_NOT_OPEN)
    return _decide(tx, sender_requests.c.id == linked.id, item.by, is_approved=True)


def _decide(tx: Connection, which: Any, by: Author, *, is_approved: bool) -> SenderRequest:
    state = State.APPROVED if is_approved else State.DECLINED
    decided = tx.execute(
        update(sender_requests)
        .where(which, sender_requests.c.state == State.OPEN.value)
        # The hash stays, so that whoever follows the link again hears that it was used.
        .values(state=state.value, decided_at=by.at, decided_by=by.actor[:255])
        .returning(sender_requests.c.id)
    ).scalar()
    if decided is None:
        raise NoSuchRequest(_NOT_OPEN)
    request = _request(tx.execute(_REQUESTS.where(sender_requests.c.id == decided)).one())
    if is_approved:
        tx.execute(
            insert_for(tx, grants)
            .values(user_id=request.user_id, pattern=request.address, created_at=by.at)
            .on_conflict_do_nothing()
        )
        bump(tx, Subject.ACCOUNTS)
    action = "sender.approve" if is_approved else "sender.decline"
    record(tx, by, action, request.user, detail={"address": request.address})
    return request


def _request(row: Any) -> SenderRequest:
    return SenderRequest(
        row.id,
        row.user_id,
        row.name,
        row.address,
        State(row.state),
        row.requested_at,
        row.decided_at,
        row.decided_by,
    )
