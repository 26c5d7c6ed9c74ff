"""How answers look: on a terminal, in a pipe, and written by strangers."""

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.cli.printing import duration, moment, size
from relay.cli.shown import Cell, Fields, Table, Tone
from relay.cli.terminal import print_part, printable
from tests.cli.conftest import Run

ROOT = Path(__file__).resolve().parents[2]


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What the real program shows on a terminal of 80 columns."""
    ours, its = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", **environment}
    env = {name: value for name, value in env.items() if value}
    command = [sys.executable, "-m", "relay", *arguments]
    with subprocess.Popen(command, env=env, stdin=its, stdout=its, stderr=its) as program:
        os.close(its)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass  # Linux says so when the last one has closed the other side
        program.wait()
    os.close(ours)
    return shown.decode()


def test_a_terminal_gets_a_table_with_colours_unless_told_otherwise(run: Run, data_dir: Path) -> None:
    run("user", "add", "ann", "--sender", "example.com")
    assert "\x1b[" in on_a_terminal("user", "list", NO_COLOR="")
    plain = on_a_terminal("user", "list", NO_COLOR="1")
    assert "─" in plain
    assert "\x1b[3" not in plain  # no colour; bold is none
    assert "\x1b" not in on_a_terminal("user", "list", "--json", NO_COLOR="")


def test_what_names_a_row_is_never_broken(run: Run, data_dir: Path) -> None:
    name = "somebody.with.a.very.long.name@department.example.com"
    run("user", "add", name, "--sender", ",".join(f"department{n}.example.com" for n in range(3)))
    assert name in on_a_terminal("user", "list", NO_COLOR="1")


def test_into_a_pipe_nothing_is_folded_or_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_part(
        Table(("name", "count"), [("a", "1"), (Cell("b" * 300, Tone.BAD), "20")], frozenset({"count"}))
    )
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "name" + " " * 298 + "count"
    assert first == "a" + " " * 305 + "1"
    assert second == "b" * 300 + "     20"


def test_fields_without_a_value_are_not_shown_and_lines_stand_below_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_part(Fields((("name", "ann"), ("nothing", None), ("empty", ""), ("notes", "one\ntwo"))))
    assert capsys.readouterr().out == "  name   ann\n  notes  one\n         two\n"


def test_words_of_strangers_cannot_move_the_cursor_or_pose_as_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printable("a\x1b[2J\r\x07b\nc\u202e") == "a?[2J??b\nc?"
    print_part("[red]not red[/red]")
    assert capsys.readouterr().out == "[red]not red[/red]\n"


def test_values_are_written_for_readers() -> None:
    assert [size(n) for n in (0, 1023, 1536, 5 << 20, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KB",
        "5.0 MB",
        "3072.0 GB",
    ]
    seconds = (0, 0.042, 1, 119, 120, 7200, 200_000)
    written = [duration(timedelta(seconds=n)) for n in seconds]
    assert written == ["0 s", "0.04 s", "1 s", "119 s", "2 min", "2 h", "2 d"]
    assert moment(None) == "never"
    assert moment(datetime(2026, 3, 2, 12, tzinfo=UTC)).startswith("2026-03-0")
