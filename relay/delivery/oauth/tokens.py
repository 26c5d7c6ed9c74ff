"""The tokens in force: kept in memory, got anew by one process for all, before the old ones end."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from relay import log
from relay.clock import Clock
from relay.db.database import Database
from relay.delivery.oauth.endpoint import SECONDS, fetch_token
from relay.delivery.oauth.grants import NoToken
from relay.notify.consent import consent_notice
from relay.queue.notices import note
from relay.routing.options import OAuth
from relay.routing.tokens import (
    Fetched,
    NotFetched,
    Token,
    Turn,
    end_turn,
    find_token,
    store_token,
    take_turn,
)
from relay.routing.upstreams import Upstream
from relay.sealing import CannotUnseal, Sealer

AHEAD = timedelta(minutes=5)  # a token with less than this before it is replaced, while it still works
_LEAST = timedelta(seconds=30)  # with less than this it is not used any more
_TURN_LASTS = timedelta(seconds=2 * SECONDS)
_LOOK_EVERY = timedelta(milliseconds=200)


class TokenSource(Protocol):
    """Where transports get the token to log in with."""

    async def get(self, upstream: Upstream, *, refused: str | None = None) -> str:
        """Return a token for *upstream*; not *refused*, which was turned down.  Raises NoToken."""
        ...


class OwnTokens:
    """Asks for a token each time: for an upstream that is not stored yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def get(self, upstream: Upstream, *, refused: str | None = None) -> str:
        """Return a new token.  Raises NoToken."""
        if refused is not None:
            raise NoToken("a token that was only just given is refused", is_final=True)
        return (await fetch_token(upstream, refresh=None, now=self._clock.now())).access


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token, and the login that it was got for; from `due_at` on there should be a new one."""

    access: str
    due_at: datetime
    oauth: OAuth | None


class Tokens:
    """The tokens of all upstreams, for one process, named *owner* in leases."""

    def __init__(
        self, db: Database, clock: Clock, *, sealer: Sealer, owner: str, new_id: Callable[[datetime], str]
    ) -> None:
        self._db = db
        self._clock = clock
        self._sealer = sealer
        self._owner = owner
        self._new_id = new_id
        self._kept: dict[str, _Kept] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, upstream: Upstream, *, refused: str | None = None) -> str:
        """Return a token for *upstream* that has some time left, and is not *refused*.

        A new one is got ahead of time, by whichever process is first; the others go on with the old
        one while it is good, else wait.  Raises NoToken.
        """
        async with self._asking[upstream.id]:
            kept = self._kept.get(upstream.id)
            is_kept = kept is not None and kept.oauth == upstream.options.oauth and kept.access != refused
            if not (kept and is_kept and self._is_fresh(kept)):
                kept = self._kept[upstream.id] = await self._find_or_fetch(upstream, refused)
            return kept.access

    async def _find_or_fetch(self, upstream: Upstream, refused: str | None) -> _Kept:
        give_up_at = self._clock.now() + _TURN_LASTS
        while True:
            stored = await self._stored(upstream, refused)
            if stored is not None and self._is_fresh(stored):
                return stored
            now = self._clock.now()
            if await self._db.write(take_turn, Turn(upstream.id, self._owner, now, now + _TURN_LASTS)):
                return await self._use_turn(upstream, refused)
            if stored is not None:
                return stored  # another process is at it, and this one is still good
            if now >= give_up_at:
                raise NoToken("another process is still asking for it")
            await self._clock.sleep(_LOOK_EVERY)

    async def _use_turn(self, upstream: Upstream, refused: str | None) -> _Kept:
        """Get a token, now that it is our turn, unless somebody got one before it was."""
        stored, now = await self._stored(upstream, refused), self._clock.now()
        if stored is not None and self._is_fresh(stored):
            await self._db.write(end_turn, NotFetched(upstream.id, self._owner, ""))
            return stored
        try:
            return await self._fetch(upstream)
        except (NoToken, CannotUnseal) as fault:
            await self._tell(upstream, fault)
            if stored is not None:
                return replace(stored, due_at=now + _LEAST)  # it lasts so long
            raise NoToken(str(fault), is_final=getattr(fault, "is_final", True)) from fault

    async def _fetch(self, upstream: Upstream) -> _Kept:
        found = await self._db.read(find_token, upstream.id, self._sealer)
        refresh = found.refresh.reveal() if found.refresh else None
        now = self._clock.now()
        granted = await fetch_token(upstream, refresh=refresh, now=now)
        fresh = Fetched(
            upstream.id,
            access_sealed=self._sealer.seal(granted.access),
            expires_at=now + granted.lasts,
            at=now,
            refresh_sealed=self._sealer.seal(granted.refresh) if granted.refresh else None,
        )
        await self._db.write(store_token, fresh)
        log.token_refreshed(upstream=upstream.name, until=fresh.expires_at)
        return _Kept(granted.access, _due_at(now, fresh.expires_at), upstream.options.oauth)

    async def _tell(self, upstream: Upstream, fault: Exception) -> None:
        """Note why there is no token, and tell the operator where only somebody can help."""
        log.token_refused(upstream=upstream.name, why=str(fault))
        await self._db.write(end_turn, NotFetched(upstream.id, self._owner, str(fault)))
        if getattr(fault, "is_final", True):
            notice = consent_notice(
                upstream.id, upstream.name, why=str(fault), notice_id=self._new_id(self._clock.now())
            )
            await self._db.write(note, notice)

    async def _stored(self, upstream: Upstream, refused: str | None) -> _Kept | None:
        """What the database has, if it can be used."""
        found: Token = await self._db.read(find_token, upstream.id, self._sealer)
        since, until = found.refreshed_at, found.expires_at
        if found.access is None or since is None or until is None or until - self._clock.now() <= _LEAST:
            return None
        try:
            access = found.access.reveal()
        except CannotUnseal:
            return None
        return None if access == refused else _Kept(access, _due_at(since, until), upstream.options.oauth)

    def _is_fresh(self, kept: _Kept) -> bool:
        return self._clock.now() < kept.due_at


def _due_at(since: datetime, until: datetime) -> datetime:
    """When a token that is good *since* then *until* then is to be replaced: not before half of its life."""
    return until - min(AHEAD, (until - since) / 2)
