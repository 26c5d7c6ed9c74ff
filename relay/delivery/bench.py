"""Where runners rest while there is nothing for them to do."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple

IDLE = timedelta(seconds=10)


class _Resting(NamedTuple):
    since: datetime
    waking: asyncio.Future[bool]  # False: there is nothing to wake for, and the runner is to go


class Bench:
    """Runners of one lane, the last to come the first to go again: his connection is the freshest."""

    def __init__(self) -> None:
        self._resting: list[_Resting] = []

    def rest(self, now: datetime) -> asyncio.Future[bool]:
        """To be awaited: True: there is something to do; False: nothing came for too long, or will come."""
        waking: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._resting.append(_Resting(now, waking))
        return waking

    def wake_one(self) -> bool:
        """Set somebody to work; False: nobody rests."""
        while self._resting:
            waking = self._resting.pop().waking
            if not waking.cancelled():
                waking.set_result(True)
                return True
        return False

    def dismiss_idle(self, now: datetime) -> None:
        """Let those go who have rested for too long: they came first."""
        # Asked every second, instead of a timer for each rest: there are thousands of rests a second.
        while self._resting and now - self._resting[0].since >= IDLE:
            self._dismiss(self._resting.pop(0))

    def dismiss_all(self) -> None:
        """There will be nothing to do."""
        for resting in self._resting:
            self._dismiss(resting)
        self._resting.clear()

    def _dismiss(self, resting: _Resting) -> None:
        if not resting.waking.cancelled():
            resting.waking.set_result(False)
