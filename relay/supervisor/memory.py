"""How this process and its children deal with memory: large blocks go back to the system at once."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE = 1024 * 1024  # octets


def return_large_blocks() -> None:
    """Let each block of a mebibyte or more be a mapping of its own, which is gone once it is free.

    Left to itself, glibc takes the first large letter as a reason to put all others into the heap, where
    small blocks behind them keep their room for good: with five sessions that send 10 MB each a quarter
    of the memory.  Where the C library knows no such thing, nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
