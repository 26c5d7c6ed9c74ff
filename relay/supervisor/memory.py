"""How this process and its children deal with memory: large blocks go back at once, small ones stay."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGE = 1024 * 1024  # octets
_KEPT = 16 * _LARGE  # free at the end of the heap


def settle_memory() -> None:
    """Give large blocks back as soon as they are free, each a mapping of its own; keep the place of others.

    Left to itself, glibc takes the first large letter as a reason to put all others into the heap, where
    small blocks behind them keep their room for good: with five sessions that send 10 MB each a quarter
    of the memory.  Told so much, it adapts nothing by itself any more, and would give back the heap's end
    as soon as 128 KiB are free there, to ask for it anew with the next message: so it is told that, too.
    Where the C library knows no such things, nothing is done.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
