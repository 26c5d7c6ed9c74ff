"""How fast an upstream is gone at: fewer connections after it asked for less, then slowly more again.

The number is halved with each complaint and grows by small steps while there is none (additive
increase, multiplicative decrease): so it settles where the upstream bears it.  Below one connection it
means a rest between two messages.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_SAME_COMPLAINT = timedelta(seconds=2)  # several connections hear it at the same moment
_STEP_AFTER = timedelta(seconds=10)
_STEPS = 20  # from none to all
_LEAST = 1 / 64
_LONGEST_REST = timedelta(seconds=1 / _LEAST)
_NOTHING = timedelta(0)


class Gait:
    """The connections that an upstream is given, of those that it is set to."""

    def __init__(self, most: int) -> None:
        self.slots = most  # how many connections there may be now
        self.slowed_to: float | None = None  # None: it never complained, or not for long
        self._most = most
        self._changed_at: datetime | None = None
        self._rests_until: datetime | None = None

    def set_to(self, most: int) -> None:
        """It is set to so many connections from now on."""
        self._most = most
        self._change(self.slowed_to, self._changed_at)

    def complained(self, now: datetime) -> bool:
        """It asked for less; True: it is given less from now on."""
        if self.slowed_to and self._is_younger(_SAME_COMPLAINT, now):
            return False
        self._change(max((self.slowed_to or self.slots) / 2, _LEAST), now)
        return True

    def bears(self, connections: int, now: datetime) -> None:
        """It took so many connections and no more."""
        self._change(float(connections), now)

    def recovered(self, now: datetime) -> bool:
        """Go a step faster if it has been calm for a while; True: it is given more."""
        if self.slowed_to is None or self._changed_at is None or self._is_younger(_STEP_AFTER, now):
            return False
        faster = self.slowed_to + max(self._most / _STEPS, 0.25)
        if faster < self._most:
            self._change(faster, now)
        else:
            self._rests_until = None
            self._change(None, None)
        return True

    def begins(self, now: datetime) -> None:
        """A message is begun; a rest may follow it."""
        if self.slowed_to is not None and self.slowed_to < 1:
            self._rests_until = now + timedelta(seconds=1 / self.slowed_to)

    def is_resting(self, now: datetime) -> bool:
        """Whether the next message has to wait a little."""
        return self._rests_until is not None and _NOTHING < self._rests_until - now <= _LONGEST_REST

    def _change(self, slowed_to: float | None, at: datetime | None) -> None:
        self.slowed_to, self._changed_at = slowed_to, at
        self.slots = self._most if slowed_to is None else min(self._most, max(int(slowed_to), 1))

    def _is_younger(self, age: timedelta, now: datetime) -> bool:
        """Whether the last change is less than *age* ago; one that has yet to come is of a clock set back."""
        return self._changed_at is not None and _NOTHING <= now - self._changed_at < age
