"""Whether an upstream can be sent to: up, down until some moment, or to be probed.

An upstream that cannot be reached is left alone for a while, and its mail waits without being
tried: it is the upstream's trouble, not the message's.  What other processes found out counts where it
is newer than what we did, so that not each of them has to try for itself.

One that turns a message away, as if it took none now, may mean all mail, or just that sender's.  So mail of
another sender is the next probe: if that goes, what it says to the first is no trouble of the upstream.

A clock may be set back, by a day where it began wrong.  What was found out at a moment that has yet to come
holds nobody up.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from random import Random

from relay.mail.address import Address
from relay.mail.reply import Reply
from relay.routing.standing import Stand, State

FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(seconds=15), timedelta(minutes=15)
_LONGEST_ASKED = timedelta(days=1)
_JITTER = 0.2  # so that processes do not all come back at the same moment
_STRIKES = 3
_MOST_SENDERS = 100  # that are remembered: where every message has one of its own, they are no use
_NEVER = datetime.min.replace(tzinfo=UTC)
_TOLD = frozenset({State.WORKS, State.DOWN})


class Standing:
    """How one upstream stands with us; what becomes of connections and messages there decides.

    *known_at*: whatever was found out before then means nothing, for the upstream was set otherwise.
    """

    def __init__(self, rng: Random, known_at: datetime = _NEVER) -> None:
        self._rng = rng
        self._failures = 0  # in a row
        self._strikes = 0  # fresh connections that broke under a message, in a row
        self.is_up = True  # it worked the last time, or was never tried
        self._until: datetime | None = None
        self._turned_away: set[Address] = set()  # senders to whom it said so since it worked last
        self._unwelcome: set[Address] = set()  # such, and then it took mail of others
        self._known_at = known_at  # when what we know was found out
        self.reason = ""  # of being down
        self.since: datetime | None = None  # it is down

    @property
    def until(self) -> datetime | None:
        """When it is probed next, if it is down."""
        return self._until

    def is_down(self, now: datetime) -> bool:
        """Whether it is to be left alone."""
        return self._until is not None and self._known_at <= now < self._until

    def went_down(self, reply: Reply, now: datetime, *, asked_for: timedelta | None = None) -> datetime:
        """It cannot be sent to, as *reply* says; return until when it is left alone.

        That is as long as it *asked_for* at least, within reason.
        """
        pause = min(FIRST_BACKOFF * (1 << min(self._failures, 16)), LONGEST_BACKOFF)
        pause = max(pause, min(asked_for or pause, _LONGEST_ASKED))
        self._failures += 1
        self.since = self.since or now
        self._known_at = now
        self.is_up = False
        self._until = now + pause * (1 + _JITTER * self._rng.random())
        self.reason = str(reply)
        return self._until

    def broke(self) -> bool:
        """A fresh connection broke under a message; True: too many in a row to blame the messages."""
        self._strikes += 1
        return self._strikes >= _STRIKES

    @property
    def shunned(self) -> AbstractSet[Address]:
        """Senders whose mail is no good probe."""
        return self._turned_away | self._unwelcome

    def turns_away(self, sender: Address) -> bool:
        """It takes no mail of *sender* now; True: it takes that of others, so the sender is meant."""
        if not self.is_unwelcome(sender) and len(self._turned_away) < _MOST_SENDERS:
            self._turned_away.add(sender)
        return self.is_unwelcome(sender)

    def is_unwelcome(self, sender: Address) -> bool:
        """Whether it turned *sender* away, and then took mail of others."""
        return sender in self._unwelcome

    def works(self, now: datetime, sender: Address | None = None) -> bool:
        """A message of *sender* was answered in order; True: that is news."""
        is_news = not self.is_up
        if sender is not None and (self._turned_away or self._unwelcome):
            known = [one for one in (*self._turned_away, *self._unwelcome) if one != sender]
            self._unwelcome = set(known[:_MOST_SENDERS])
            self._turned_away.clear()
        self.is_up = True
        self._known_at = now
        self._failures = self._strikes = 0
        self._until = self.since = None
        return is_news

    def heeds(self, others: Iterable[Stand], now: datetime) -> Stand | None:
        """Go by the newest of what *others* found out, if it changes anything; return that.

        What is down with one of them is left alone here as long, then a probe of our own decides.  What is
        down here and works there may be probed at once.
        """
        told = [each for each in others if each.state in _TOLD and each.since > self._known_at]
        newest = max(
            (each for each in told if each.state is State.WORKS or each.since <= now),
            key=lambda each: each.since,
            default=None,
        )
        if newest is None:
            return None
        if newest.state is State.WORKS and self.is_down(now):
            self._until = now
        elif newest.state is State.DOWN and self.is_up and newest.until is not None and now < newest.until:
            self.is_up = False
            self._until, self.since, self.reason = newest.until, newest.since, newest.reason or ""
        else:
            return None
        self._known_at = newest.since
        return newest
