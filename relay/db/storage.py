"""Whether the disk under an embedded database has room for more mail."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Self

from sqlalchemy import Engine

FLOOR = 64 * 2**20
"""Octets that stay free of new mail: what is in the queue can leave it only while there is room to write
down that it did, and the write-ahead log alone takes 16 MB and a group of large letters."""

_LOOK_EVERY = 0.25  # seconds: a fast disk takes less than half of FLOOR meanwhile, and a look costs a syscall


class Storage:
    """The disk that *file* is on; with no file there is none of ours that could be full."""

    def __init__(self, file: Path | None = None) -> None:
        self.floor = FLOOR
        self._file = file
        self._free = 0
        self._look_again_at = 0.0

    @classmethod
    def under(cls, engine: Engine) -> Self:
        """The disk under the database of *engine*; a server looks after its own."""
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        return cls(Path(file) if file else None)

    def has_room_for(self, octets: int) -> bool:
        """Whether so many octets may be kept.  Raises OSError if the disk does not answer."""
        if self._file is None:
            return True
        if (now := time.monotonic()) >= self._look_again_at:
            disk = os.statvfs(self._file)
            self._free, self._look_again_at = disk.f_bavail * disk.f_frsize, now + _LOOK_EVERY
        return self._free - octets >= self.floor
