"""Quotas that are known to be used up: whoever sends on is told at MAIL, not after the message.

What is known was learned when a message was refused, and is believed for a few seconds, so it costs no
question to the database.  Whether a message fits is decided where it is accepted, and only there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.policy.quotas import Quota
from relay.policy.submission import User

BELIEVED_FOR = timedelta(seconds=5)
MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    quota: Quota
    learned_at: datetime

    def still_holds(self, user: User, now: datetime) -> bool:
        begin = self.quota.window.begin
        return (
            self.quota in user.limits.quotas
            and now < self.learned_at + BELIEVED_FOR
            and begin(now) == begin(self.learned_at)
        )


class UsedUp:
    """What one process learned of its users' quotas, never of more than MOST users."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def learn(self, user: User, quota: Quota, now: datetime) -> None:
        """Nothing more of *quota* is left for *user*."""
        if len(self._known) >= MOST:
            self._known.clear()  # what is forgotten is soon learned again
        self._known[user.id] = _Known(quota, now)

    def quota_of(self, user: User, now: datetime) -> Quota | None:
        """A quota of *user* of which nothing is left, as far as is known."""
        known = self._known.get(user.id)
        if known is None:
            return None
        if known.still_holds(user, now):
            return known.quota
        del self._known[user.id]
        return None
