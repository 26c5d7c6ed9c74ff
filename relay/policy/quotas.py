"""How much a user may send within some time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class BadQuota(ValueError):
    """A quota is not written UNIT/WINDOW; the message says what would do."""


class Unit(StrEnum):
    """What is counted; a message to three recipients counts three of them."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"
    OCTETS = "octets"


class Window(StrEnum):
    """The time in which it is counted: of the calendar, in UTC, so that all processes mean the same."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def begin(self, now: datetime) -> datetime:
        """When the window began that *now* lies in."""
        begun = now.replace(second=0, microsecond=0)
        if self is Window.MINUTE:
            return begun
        begun = begun.replace(minute=0)
        if self is Window.HOUR:
            return begun
        begun = begun.replace(hour=0)
        return begun if self is Window.DAY else begun.replace(day=1)

    def end(self, now: datetime) -> datetime:
        """When the window ends that *now* lies in, and the next one begins."""
        return self.begin(self.begin(now) + _MORE_THAN_ONE[self])


_MORE_THAN_ONE = {
    Window.MINUTE: timedelta(minutes=1),
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(days=1),
    Window.MONTH: timedelta(days=31),
}
"""From the beginning of a window so much later is in the next one."""


class Beyond(StrEnum):
    """What becomes of a message that goes beyond a quota."""

    REFUSE = "refuse"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Quota:
    """At most so many of a unit in each window."""

    unit: Unit
    window: Window
    most: int

    @property
    def name(self) -> str:
        """How it is written in a user's limits: "messages/hour"."""
        return f"{self.unit.value}/{self.window.value}"

    def __str__(self) -> str:
        unit = self.unit.value.removesuffix("s") if self.most == 1 else self.unit.value
        return f"{self.most} {unit} {'an' if self.window is Window.HOUR else 'a'} {self.window.value}"

    def is_exceeded_by(self, used: int) -> bool:
        """Whether *used* is more than may be."""
        return used > self.most

    def comes_near(self, before: int, after: int) -> bool:
        """Whether going from *before* to *after* passes four fifths of it, which happens once a window."""
        return before * 5 < self.most * 4 <= after * 5


def quota(name: str, most: int) -> Quota:
    """Return the quota called *name*.  Raises BadQuota."""
    unit, _, window = name.partition("/")
    try:
        return Quota(Unit(unit), Window(window), most)
    except ValueError:
        raise BadQuota(
            f'"{name}" is no quota: write messages, recipients or octets, a slash, '
            "and minute, hour, day or month"
        ) from None


def known_quotas(members: Mapping[str, int]) -> tuple[Quota, ...]:
    """Read quotas as they are stored, by name."""
    return tuple(quota(name, most) for name, most in members.items())
