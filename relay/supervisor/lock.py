"""One relay per data directory.

The lock is an open file that all processes of a node share: it is held as long as any of them
lives, even if the parent was killed, so that two processes never act under the same name.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from relay.supervisor.cannot_start import CANNOT_CREATE, CannotStart

_POLL_SECONDS = 0.1


def take_lock(path: Path, *, patience: float) -> int:
    """Lock the file at *path*, write our process id into it, and return the file to keep open.

    Children of a parent that is dead are on their way out: for those we wait up to *patience*
    seconds.  Raises CannotStart if another relay holds the lock, OSError if there can be no file.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    give_up = time.monotonic() + patience
    while not _locked(file):
        holder = _holder(file)
        if holder is None or _lives(holder) or time.monotonic() >= give_up:
            os.close(file)
            raise CannotStart(
                f"Another relay is running in {path.parent.parent} (process {holder or 'unknown'}); "
                'stop it first, or give this one its own "data_dir".',
                CANNOT_CREATE,
            )
        time.sleep(_POLL_SECONDS)
    os.ftruncate(file, 0)
    os.pwrite(file, b"%d\n" % os.getpid(), 0)
    return file


def _locked(file: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _holder(file: int) -> int | None:
    text = os.pread(file, 20, 0).strip()
    return int(text) if text.isdigit() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
