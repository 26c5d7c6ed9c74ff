"""The login attempts of the last seconds, on their way to the database: many, as few rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from relay.accounts.attempts import Attempts, Result, count_attempts, day_of
from relay.submission.guard import counted_as, network_of

_WRITTEN_AFTER_SECONDS = 5.0
_MOST_ROWS = 5_000  # beyond, who came by new sources is counted with none


class Logbook:
    """Counts attempts, and has them written aside some seconds after the first."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, write_aside: Callable[[Callable[..., object], object], None]
    ) -> None:
        self._loop = loop
        self._write_aside = write_aside
        self._counted: dict[tuple[str, str, str, Result], tuple[int, datetime, str]] = {}

    def note(
        self, name: str, address: str, now: datetime, *, mechanism: str, result: Result, times: int = 1
    ) -> None:
        """Count an attempt of *name*, which is "" where nobody has that name."""
        if not self._counted:
            self._loop.call_later(_WRITTEN_AFTER_SECONDS, self.write)
        key = (counted_as(name), network_of(address), mechanism, result)
        count, _, _ = self._counted.get(key, (0, now, address))
        if count or len(self._counted) < _MOST_ROWS:
            self._counted[key] = (count + times, now, address)

    def knows(self, name: str, address: str) -> bool:
        """Whether *name* logged in from the network of *address* within the last seconds."""
        known = (counted_as(name), network_of(address))
        return any(k[:2] == known and k[3] is Result.SUCCESS for k in self._counted)

    def write(self) -> None:
        """Have all that was counted written."""
        counted, self._counted = self._counted, {}
        if counted:
            rows = tuple(
                Attempts(name, network, day_of(at), mechanism, result, count, at, address)
                for (name, network, mechanism, result), (count, at, address) in counted.items()
            )
            self._write_aside(count_attempts, rows)
