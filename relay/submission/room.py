"""Memory for the message that a connection sends: taken as it comes, and waited for where there is none."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from relay.budget import Budget, Reservation

if TYPE_CHECKING:
    from relay.submission.server import Server

LOOK_SECONDS = 0.05


class Room:
    """What one connection holds of the process's memory for messages.

    While others hold all of it, the client is not read from; only when nothing becomes free for as
    long as the setting room_timeout says is the message given up, `has_run_out`.

    It is told each time whose it is instead of knowing it: of two that know each other the memory is free
    only when somebody searches for such circles, which holds up everybody.
    """

    __slots__ = ("_looking", "_reservation", "_until", "has_run_out")

    def __init__(self, budget: Budget) -> None:
        self._reservation = Reservation(budget)
        self._until: float | None = None  # given up then
        self._looking: asyncio.TimerHandle | None = None
        self.has_run_out = False

    @property
    def is_waiting(self) -> bool:
        """Whether the client is kept waiting in the middle of its message."""
        return self._looking is not None

    def grow_to(self, octets: int) -> bool:
        """Hold at least *octets*, if that is possible at once."""
        return self._reservation.grow_to(octets)

    async def wait_for(self, server: Server, octets: int) -> bool:
        """Hold at least *octets*; say whether that became possible in time."""
        until = monotonic() + server.tally.patience.room
        while not self._reservation.grow_to(octets):
            if monotonic() >= until:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    def keep_up(self, server: Server) -> None:
        """Hold as much as is kept of the message; else let the client wait, or keep no more of it."""
        if self.has_run_out or self._looking is not None:
            return
        if self._reservation.grow_to(server.held):
            self._until = None
            return
        now = monotonic()
        if self._until is None:
            self._until = now + server.tally.patience.room
        if now < self._until:
            server.wire.pause()
            server.tally.excuse(LOOK_SECONDS)
            self._looking = server.loop.call_later(LOOK_SECONDS, self._look, server)
        else:
            self.has_run_out = True
            self.release()
            server.stop_keeping()

    def _look(self, server: Server) -> None:
        self._looking = None
        if self._until is not None:
            self.keep_up(server)
        if self._looking is None:
            server.read_on()

    def release(self) -> None:
        """Give everything back."""
        self._until = None
        self._reservation.release()
