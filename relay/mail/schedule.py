"""When to try again, and when to give up."""

from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple


class RetrySchedule(NamedTuple):
    """The spaces between attempts (RFC 5321 §4.5.4.1)."""

    first: timedelta = timedelta(minutes=30)
    ceiling: timedelta = timedelta(hours=4)
    lifetime: timedelta = timedelta(days=4)
    jitter: float = 0.1

    def delay_after(self, attempts: int, rng: Random) -> timedelta:
        """How long to wait after *attempts* failed tries; *attempts* counts from 1.

        Doubles from `first` up to `ceiling`, then adds up to `jitter` of itself, so that mail
        deferred together is not retried together.
        """
        # Neither factor nor product may outgrow what a timedelta holds, however many attempts there were.
        factor = min(1 << min(attempts - 1, 32), self.ceiling // self.first + 1)
        delay = min(self.first * factor, self.ceiling)
        return delay * (1 + self.jitter * rng.random())

    def gives_up_at(self, accepted_at: datetime) -> datetime:
        """The moment from which a message accepted at *accepted_at* is returned to its sender."""
        return accepted_at + self.lifetime
