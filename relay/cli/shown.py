"""What a command has to say, as values: the same words become a table on a terminal, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Tone(StrEnum):
    """How a word is meant; on a terminal each has its colour."""

    PLAIN = ""
    GOOD = "green"
    DOUBTFUL = "yellow"
    BAD = "red"
    QUIET = "bright_black"
    STRONG = "bold"


@dataclass(frozen=True, slots=True)
class Cell:
    """A word with a tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; of columns named in `numbers` the digits stand below each other."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str | Cell, ...]]
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fields:
    """Names with their values, one a line; those without a value are not shown."""

    pairs: tuple[tuple[str, str | Cell | None], ...]


Part = str | bytes | Cell | Table | Fields  # bytes are written as they stand


@dataclass(frozen=True, slots=True)
class Shown:
    """The whole answer of a command: `document` is what --json prints, `parts` what a reader sees."""

    document: Any
    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
    exit_code: int = 0
