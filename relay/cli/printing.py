"""How an answer is written: as JSON, or for a reader by `terminal`; and how values are.

Answers go to standard output, warnings and errors to standard error.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TextIO

from relay.cli.faults import CANNOT_WRITE, Failed
from relay.cli.shown import Shown
from relay.cli.streams import has_every_letter, leave_unwritten
from relay.mail.address import Address

_SECOND = 1.0


def show(shown: Shown, *, as_json: bool) -> None:
    """Print an answer and its warnings.  Raises Failed if the answer cannot be written."""
    try:
        _show_answer(shown, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # whoever read it has had enough
    except OSError as fault:
        raise unwritten(fault) from None
    for warning in shown.warnings:
        complain("warning", warning, as_json=as_json)


def unwritten(fault: OSError) -> Failed:
    """What to say where standard output takes no more."""
    leave_unwritten(sys.stdout)
    return Failed(f"The answer could not be written: {fault.strerror}.", CANNOT_WRITE)


def _show_answer(shown: Shown, *, as_json: bool) -> None:
    if as_json:
        print_json(shown.document)
    elif shown.parts:
        from relay.cli.terminal import print_part

        for part in shown.parts:
            print_part(part)


def print_json(document: Any, file: TextIO | None = None) -> None:
    """Print *document* as JSON: times in ISO 8601 UTC, durations in seconds."""
    file = file or sys.stdout
    is_ascii = not has_every_letter(file)
    print(json.dumps(document, default=_plain, ensure_ascii=is_ascii, indent=2), file=file)


def complain(kind: str, sentence: str, *, as_json: bool, exit_code: int | None = None) -> None:
    """Print an error or a warning to standard error; if that cannot be, the exit code says it alone."""
    try:
        _write_complaint(kind, sentence, as_json=as_json, exit_code=exit_code)
    except OSError:
        leave_unwritten(sys.stderr)


def _write_complaint(kind: str, sentence: str, *, as_json: bool, exit_code: int | None) -> None:
    if as_json:
        told: dict[str, object] = {kind: sentence}
        print_json(told if exit_code is None else {**told, "exit_code": exit_code}, sys.stderr)
        return
    from relay.cli.terminal import print_complaint

    print_complaint(kind, sentence)


# --- how values are written --------------------------------------------------------------------


def moment(at: datetime | None) -> str:
    """Write a moment in the operator's own time zone; "never" for none."""
    return "never" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(octets: int) -> str:
    """Write a number of octets for a reader."""
    amount = float(octets)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024 or unit == "GB":
            break
        amount /= 1024
    return f"{octets} B" if unit == "B" else f"{amount:.1f} {unit}"


def duration(of: timedelta) -> str:
    """Write a duration in its largest unit: "3 s", "5 min", "2 h", "4 d"."""
    seconds = of.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds == 0 or abs(seconds) >= _SECOND else f"{seconds:.2f} s"


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Address():
            return str(value)
        case Enum():
            return value.value
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        case frozenset() | set():
            return sorted(value)
        case _:
            return str(value)
