"""Where runners rest while there is nothing for them to do."""

from __future__ import annotations

import asyncio

IDLE_SECONDS = 10.0


class Bench:
    """Runners of one lane, the last to come the first to go again: his connection is the freshest."""

    def __init__(self) -> None:
        self._resting: list[asyncio.Future[bool]] = []

    async def rest(self) -> bool:
        """Rest until there is something to do; False: there was nothing for too long, or nothing will be."""
        waking = asyncio.get_running_loop().create_future()
        self._resting.append(waking)
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._dismiss, waking)
        try:
            return bool(await waking)
        finally:
            timer.cancel()
            if waking in self._resting:
                self._resting.remove(waking)

    def wake_one(self) -> bool:
        """Set somebody to work; False: nobody rests."""
        if not self._resting:
            return False
        self._resting.pop().set_result(True)
        return True

    def dismiss_all(self) -> None:
        """There will be nothing to do."""
        for waking in self._resting:
            waking.set_result(False)
        self._resting.clear()

    def _dismiss(self, waking: asyncio.Future[bool]) -> None:
        if waking in self._resting:
            self._resting.remove(waking)
            waking.set_result(False)
