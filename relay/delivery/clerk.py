"""The paperwork of the door out: contents fetched, ends written down, deliveries given back.

The lanes carry; the clerk is the only one of them who speaks with the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from relay import log
from relay.budget import Budget
from relay.clock import Clock
from relay.db.database import Database
from relay.delivery.archive import warn_of_lost_copies
from relay.delivery.attempt import announce_followers, bare_settlement_of, settlement_of, tell
from relay.delivery.hands import Hands, Held
from relay.delivery.ledger import DATABASE_AWAY, Ledger
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.outgoing import Outgoing
from relay.delivery.rules import Rules
from relay.delivery.tried import Try
from relay.queue.claim import Release, release
from relay.queue.content import read_content
from relay.queue.items import Settlement
from relay.queue.settle import Settled
from relay.queue.splitting import Split, split
from relay.routing.grants import Ask, Grant, Refund, grant, refund
from relay.routing.health import Sign, record_connected, record_success
from relay.routing.standing import Stand, record_stands

# Octets of letters too large to come with the claim that may be read at once: besides the budget of
# the door in, because a lane that waits for room must not wait for what waits for the lane.
_READING_OCTETS = 64 * 1024 * 1024
_READING_WAIT = timedelta(milliseconds=50)

_READ_AGAIN_AFTER = timedelta(seconds=1)
_APART = "Its recipients are at several domains, each of which is delivered to by itself"
_SIGN_EVERY = timedelta(seconds=5)


class Clerk:
    """Writes down what the lanes do, by the *rules* in force at the moment.

    *on_more* is called when there may be more to do: mail of our own making, or the database is back.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        hands: Hands,
        rules: Callable[[], Rules],
        on_more: Callable[[], None],
        tokens: TokenSource,
        owner: str,
    ) -> None:
        self.clock = clock
        self.owner = owner
        self.hands = hands
        self.rules = rules
        self.tokens = tokens
        self.ledger = Ledger(db, clock, on_settled=self._settled, on_free=on_more)
        self.outgoing = Outgoing()
        self._db = db
        self._on_more = on_more
        self._reading = Budget(_READING_OCTETS)
        self._last_signs: dict[tuple[object, str], datetime] = {}

    # Contents ------------------------------------------------------------------------------------

    async def content_of(self, held: Held) -> bytes | None:
        """The letter itself; None if it is gone.  To be put down with `content_done`."""
        claimed = held.claimed
        if claimed.content is not None:
            return claimed.content
        while not self._reading.take(claimed.octets):
            await self.clock.sleep(_READING_WAIT)
        try:
            return await self._read_at_last(claimed.key.message_id)
        except BaseException:
            self._reading.give_back(claimed.octets)
            raise

    async def _read_at_last(self, message_id: str) -> bytes | None:
        while True:
            try:
                return await self._db.read(read_content, message_id)
            except DATABASE_AWAY:
                await self.clock.sleep(_READ_AGAIN_AFTER)

    def content_done(self, held: Held) -> None:
        """The letter that `content_of` gave is no longer looked at."""
        if held.claimed.content is None:
            self._reading.give_back(held.claimed.octets)

    # Ends ----------------------------------------------------------------------------------------

    def conclude(self, held: Held, content: bytes, tried: Try) -> None:
        """Write down how an attempt ended."""
        claimed = held.claimed._replace(content=None)  # it need not travel to the scribe a second time
        try:
            settlement = settlement_of(claimed, content, tried, self.rules())
        except Exception as fault:  # noqa: BLE001  what was delivered must not be sent again, whatever it is
            log.fault("conclude", fault)
            settlement = bare_settlement_of(claimed, tried, self.rules())
        tell(settlement)
        self.ledger.enter(held, settlement)

    def enter(self, held: Held, settlement: Settlement) -> None:
        """Write *settlement* down, sooner or later."""
        self.ledger.enter(held, settlement)

    def give_back(self, held: Held, reason: str, due_at: datetime | None = None) -> None:
        """Put a delivery back into the queue, untried.

        If that cannot be written, the lease runs out, which comes to the same a little later.
        """
        self.hands.let_go(held)
        if not held.is_lost:
            self._write(release, Release(held.claimed, reason, due_at))

    def split(self, held: Held, groups: tuple[tuple[int, ...], ...]) -> None:
        """Put a delivery back into the queue, untried, as one for each of these groups of recipients."""
        self.hands.let_go(held)
        if not held.is_lost:
            written = self._write(split, Split(held.claimed, groups, _APART))
            written.add_done_callback(lambda _: self._on_more())

    def _settled(self, held: Held, settlement: Settlement, settled: Settled) -> None:
        if not settled.is_ours:
            log.lease_lost(delivery=str(held.claimed.key))
        self.hands.let_go(held)
        if settlement.notices:
            warn_of_lost_copies(settlement)
        if settled.accepted:
            announce_followers(settlement, settled.accepted)
        if settled.accepted or settlement.left:
            self._on_more()

    # Signs of life -------------------------------------------------------------------------------

    def connected(self, upstream_id: str) -> None:
        """An upstream was connected to."""
        self._note(record_connected, upstream_id, self.clock.now())

    def succeeded(self, upstream_id: str, now: datetime) -> None:
        """An upstream took a message."""
        self._note(record_success, upstream_id, now)

    def stands(self, stand: Stand) -> None:
        """How an upstream stands with this process has changed."""
        self._write(record_stands, stand)

    def ask(self, ask: Ask) -> asyncio.Future[Grant]:
        """Ask for a part of what an upstream may be given."""
        return self._db.write(grant, ask)

    def refund(self, unused: Refund) -> None:
        """Give back a part that will not be used."""
        self._write(refund, unused)

    def _note(self, record: Callable[..., Any], upstream_id: str, now: datetime) -> None:
        key = (record, upstream_id)
        last = self._last_signs.get(key)
        if last is None or now - last >= _SIGN_EVERY:
            self._last_signs[key] = now
            self._write(record, Sign(upstream_id, now))

    def _write(self, function: Callable[..., Any], item: object) -> asyncio.Future[Any]:
        """Write what would be good to have, but is not worth waiting for."""
        written: asyncio.Future[Any] = self._db.write(function, item)
        written.add_done_callback(_passed_over)
        return written


def _passed_over(written: asyncio.Future[Any]) -> None:
    if not written.cancelled():
        written.exception()  # looked at, so that nobody complains of it
