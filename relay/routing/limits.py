"""How much an upstream may be given, and how much at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

from relay.policy.quotas import Quota, Unit, Window


class BadLimits(ValueError):
    """Limits of an upstream cannot be so; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an upstream is given at most; None: no limit of that kind.

    Messages over one connection; messages that are begun in a minute, an hour, a day of the calendar
    (UTC), by all processes together; messages in one `batch` and the least seconds of `pause` before the
    next one; `recipients` in one transaction; `octets` of the largest message.  `overflows`: what it may
    not be given now goes to the next upstream of its route; else it waits.
    """

    per_connection: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    batch: int | None = None
    pause: int = 0
    recipients: int | None = None
    octets: int | None = None
    overflows: bool = False

    @property
    def quotas(self) -> Sequence[Quota]:
        """Those by the calendar."""
        wanted = (
            (Window.MINUTE, self.per_minute),
            (Window.HOUR, self.per_hour),
            (Window.DAY, self.per_day),
        )
        return [Quota(Unit.MESSAGES, window, most) for window, most in wanted if most is not None]

    @property
    def is_metered(self) -> bool:
        """Whether every message has to be counted."""
        return bool(self.quotas) or self.batch is not None

    @property
    def rest(self) -> timedelta:
        """The least time between two batches."""
        return timedelta(seconds=self.pause)

    def to_members(self) -> dict[str, int | bool]:
        """Return those that are set, by name."""
        members = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in members.items() if value}

    def to_json(self) -> str:
        """Write them down."""
        return json.dumps(self.to_members())

    @classmethod
    def from_json(cls, text: str) -> Limits:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text)) if text != "{}" else NO_LIMITS


NO_LIMITS = Limits()


def checked(limits: Limits) -> Limits:
    """Return *limits*.  Raises BadLimits if they cannot be so."""
    for each in fields(limits):
        value = getattr(limits, each.name)
        if value is not None and not isinstance(value, bool) and each.name != "pause" and value < 1:
            raise BadLimits("A limit is 1 or more; without one, mail flows freely.")
    if (limits.batch is None) != (limits.pause == 0):
        raise BadLimits("A batch goes with a pause: give both --batch and --pause, or neither.")
    if limits.pause < 0:
        raise BadLimits("A pause is a number of seconds.")
    return limits
