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

    async def rest(self, now: datetime) -> bool:
        """Rest until there is something to do; False: there was nothing for too long, or nothing will be."""
        resting = _Resting(now, asyncio.get_running_loop().create_future())
        self._resting.append(resting)
        try:
            return await resting.waking
        finally:
            if resting.waking.cancelled():
                self._resting.remove(resting)

    def wake_one(self) -> bool:
        """Set somebody to work; False: nobody rests."""
        if not self._resting:
            return False
        self._resting.pop().waking.set_result(True)
        return True

    def dismiss_idle(self, now: datetime) -> None:
        """Let those go who have rested for too long: they came first."""
        # Asked every second, instead of a timer for each rest: there are thousands of rests a second.
        while self._resting and now - self._resting[0].since >= IDLE:
            self._resting.pop(0).waking.set_result(False)

    def dismiss_all(self) -> None:
        """There will be nothing to do."""
        for resting in self._resting:
            resting.waking.set_result(False)
        self._resting.clear()
