"""An answer for a reader: tables and colours on a terminal, plain aligned columns into a pipe.

rich honours NO_COLOR and the width of the terminal; into a pipe nothing is folded or cut off.
"""

from __future__ import annotations

import sys
from io import StringIO
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from relay.cli.shown import Cell, Fields, Part, Table, Tone

_PIPE_WIDTH = 10_000


def print_part(part: Part) -> None:
    """Write one part of an answer to standard output."""
    if isinstance(part, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(part)
    elif sys.stdout.isatty():
        _write(Console(soft_wrap=True), part)
    else:
        written = StringIO()
        _write(Console(file=written, width=_PIPE_WIDTH, soft_wrap=True), part)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def print_complaint(kind: str, sentence: str) -> None:
    """Write an error or a warning to standard error."""
    tone = Tone.BAD if kind == "error" else Tone.DOUBTFUL
    lead = Text(f"{kind}: ", style=f"bold {tone.value}")
    Console(stderr=True, soft_wrap=True).print(lead.append(printable(sentence), style="not bold default"))


def printable(text: str) -> str:
    """Take out of *text* what could move a terminal's cursor: much of it was written by strangers."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _write(console: Console, part: str | Cell | Table | Fields) -> None:
    match part:
        case Table():
            _write_table(console, part)
        case Fields():
            _write_fields(console, part)
        case _:
            console.print(_text(part))


def _write_table(console: Console, table: Table) -> None:
    box = SIMPLE_HEAD if console.is_terminal else None
    made = RichTable(box=box, pad_edge=False, padding=(0, 1 if box else 2, 0, 0), header_style="bold")
    for number, heading in enumerate(table.headings):
        is_number = heading in table.numbers
        side: Literal["left", "right"] = "right" if is_number else "left"
        # The first column names the row, and is copied from here into the next command
        made.add_column(heading, justify=side, overflow="fold", no_wrap=is_number or number == 0)
    for row in table.rows:
        made.add_row(*(_text(cell) for cell in row))
    console.print(made, soft_wrap=False)


def _write_fields(console: Console, fields: Fields) -> None:
    present = [(name, value) for name, value in fields.pairs if value]
    width = max((len(name) for name, _ in present), default=0)
    for name, value in present:
        first, *rest = _text(value).split("\n")
        console.print(Text("  ").append(name.ljust(width + 2), style="bold").append_text(first))
        for line in rest:
            console.print(Text(" " * (width + 4)).append_text(line))


def _text(cell: str | Cell) -> Text:
    if isinstance(cell, Cell):
        return Text(printable(cell.text), style=cell.tone.value)
    return Text(printable(cell))
