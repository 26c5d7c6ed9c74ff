"""Noticing what was changed elsewhere: by the CLI, the panel, another node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from relay.db.database import Database
from relay.db.revision import Subject, read_all

LOOK_EVERY = timedelta(seconds=1)


class Watch:
    """Reads the revisions about once a second, sooner when the bell rings, and has what moved read anew."""

    def __init__(self, db: Database, seen: Mapping[str, int]) -> None:
        self._db = db
        self._seen = dict(seen)
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Look at once."""
        self._rung.set()

    async def run(self, read_anew: Mapping[Subject, Callable[[], Awaitable[None]]]) -> None:
        """For each subject whose revision moved, call what reads it anew; again and again."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY.total_seconds()):
                    await self._rung.wait()
            except TimeoutError:
                pass
            self._rung.clear()
            await self.look(read_anew)

    async def look(self, read_anew: Mapping[Subject, Callable[[], Awaitable[None]]]) -> None:
        """Look once.  What could not be read is tried again at the next look."""
        now = await self._db.read(read_all)
        for subject, read in read_anew.items():
            if now.get(subject) != self._seen.get(subject):
                await read()
                if subject in now:
                    self._seen[subject] = now[subject]
