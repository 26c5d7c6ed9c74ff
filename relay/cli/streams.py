"""The standard streams, as whoever called us left them: closed, perhaps, or of few letters."""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO


def make_usable() -> None:
    """See to it that reading and printing are no faults.

    A stream that was closed is empty, or leads nowhere, and keeps its number: else the next file or socket
    would have that, and get what others print.  A letter that standard output has not is told by its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  to the end
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def leave_unwritten(stream: TextIO) -> None:
    """Give up what *stream* still holds; else Python would try once more at the end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def has_every_letter(stream: TextIO) -> bool:
    """Whether all that can be told can be written to *stream* as it is."""
    return codecs.lookup(stream.encoding).name == "utf-8"
