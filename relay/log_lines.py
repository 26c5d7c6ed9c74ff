"""Log lines: how they look and where they go.  What is told is `relay.log`'s to say."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_as_json = json.JSONEncoder(default=str).encode  # json.dumps would make one for each line
_TOLD_SECONDS = 60.0
_MOST_FAULTS = 100  # to remember: words that differ each time must not fill memory


class _Stream(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class WholeLines:
    """Standard output, shared by several processes: each write is whole lines, so theirs never mix.

    A pipe takes up to PIPE_BUF octets in one piece.  Lines that nobody can take (a full disk, a
    reader that is gone) are dropped: mail goes on.
    """

    def __init__(self, file: int, *, at_once: bool) -> None:
        self._file = file
        self._most_octets = 0 if at_once else 32 * 1024
        self._lines: list[bytes] = []
        self._octets = 0

    def write(self, text: str, /) -> None:
        """Take a line; it leaves with others."""
        line = text.encode("utf-8", "backslashreplace")
        self._lines.append(line)
        self._octets += len(line)
        if self._octets > self._most_octets:
            self.flush()

    def flush(self) -> None:
        """Write what was taken."""
        lines, self._lines, self._octets = self._lines, [], 0
        piece = b""
        for line in lines:
            if len(piece) + len(line) > select.PIPE_BUF:
                self._put(piece)
                piece = b""
            piece += line
        self._put(piece)

    def _put(self, piece: bytes) -> None:
        with contextlib.suppress(OSError):
            while piece:
                piece = piece[os.write(self._file, piece) :]


@lru_cache(maxsize=8)
def _second(since_epoch: int) -> str:
    """Spell out a second in UTC: once for all its lines, for that takes half as long as the line itself."""
    return datetime.fromtimestamp(since_epoch, UTC).replace(tzinfo=None).isoformat()


class Writer:
    """Where lines go, and how they look: set once at the start of a process by `configure`."""

    def __init__(self) -> None:
        self.stream: _Stream = sys.stdout
        self.least = LEVELS["info"]
        self.as_json = True
        self.node = ""
        self.process = "main"

    def write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        """Write one line, unless its level is lower than is wanted."""
        if LEVELS[level] < self.least:
            return
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        moment = f"{_second(seconds)}.{milliseconds:03}+00:00"
        if self.as_json:
            line = _as_json({"ts": moment, "level": level, "event": event, "node": self.node, **facts})
        else:
            told = " ".join(f"{k}={v!r}" if isinstance(v, str) else f"{k}={v}" for k, v in facts.items())
            line = f"{moment[11:23]} {level:<7} {event:<24} {told}"
        self.stream.write(line + "\n")


class Tracebacks:
    """The traceback of each fault, once a minute at most: without a disk, every command has the same."""

    def __init__(self, seconds_now: Callable[[], float] = time.monotonic) -> None:
        self._now = seconds_now
        self._told_until: dict[object, float] = {}

    def of(self, where: str, error: BaseException) -> str | None:
        """Return the traceback of *error*; None if that of the same place and words was told just now."""
        place = tuple((frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__))
        fault, now = (where, repr(error), place), self._now()
        if now < self._told_until.get(fault, now):
            return None
        if len(self._told_until) >= _MOST_FAULTS:
            self._told_until.clear()
        self._told_until[fault] = now + _TOLD_SECONDS
        return "".join(traceback.format_exception(error))


class FromLibraries(logging.Handler):
    """Lines of the libraries come out like our own."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        facts: dict[str, Any] = {"logger": record.name, "text": record.getMessage()}
        if record.exc_info:
            facts["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        self._writer.write(level, "library", facts)


def tell_unraisable(fault: sys.UnraisableHookArgs) -> None:
    """Have a fault that Python can raise nowhere come out like a line of the libraries.

    It is no `fault` of ours: a client makes one by naming a server in letters beyond ASCII (SNI).
    """
    said = fault.err_msg or "Exception ignored in"
    logging.getLogger("python").warning("%s: %r", said, fault.object, exc_info=fault.exc_value)
