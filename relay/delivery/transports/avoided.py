"""Hosts that could not be reached, so that not every message to them finds that out by itself."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from random import Random

from relay.clock import Clock
from relay.delivery.standing import Standing
from relay.mail.reply import Reply

_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Failing:
    standing: Standing
    reply: Reply


class Avoided:
    """Which hosts are left alone for now: each for a while that doubles with every failure (see Standing)."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    def why(self, host: str) -> Reply | None:
        """Why *host* is left alone; None: it may be tried."""
        failing = self._failing.get(host)
        is_avoided = failing is not None and failing.standing.is_down(self._clock.now())
        return failing.reply if failing is not None and is_avoided else None

    def failed(self, host: str, reply: Reply) -> None:
        """It could not be reached, as *reply* says."""
        now = self._clock.now()
        failing = self._failing.setdefault(host, _Failing(Standing(self._rng), reply))
        self._failing.move_to_end(host)
        if not failing.standing.is_down(now):  # else several found it out at the same time
            failing.standing.went_down(reply, now)
            failing.reply = reply
        while len(self._failing) > _MOST_REMEMBERED:
            self._failing.popitem(last=False)

    def reached(self, host: str) -> None:
        """It was reached."""
        self._failing.pop(host, None)
