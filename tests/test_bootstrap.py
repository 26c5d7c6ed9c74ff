"""What `./run` says before there is a relay that could say anything."""

import os
import signal
import subprocess
import sys
from pathlib import Path

BOOTSTRAP = Path(__file__).resolve().parent.parent / "bootstrap.py"


def begun(venv: Path) -> "subprocess.Popen[str]":
    """`./run version`, with its libraries in *venv*."""
    return subprocess.Popen(
        [sys.executable, BOOTSTRAP, "version"],
        env=os.environ | {"RELAY_VENV": str(venv)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_place_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    venv = tmp_path / "file/below/venv"
    running = begun(venv)
    told = running.communicate()[1]
    assert running.returncode == 1
    assert told.startswith(f"relay: could not prepare {venv} ({tmp_path}/file/below: Not a directory)")
    assert "Traceback" not in told


def test_who_breaks_off_sees_no_traceback(tmp_path: Path) -> None:
    running = begun(tmp_path / "venv")
    assert running.stderr is not None
    assert running.stderr.readline().startswith("relay: preparing")
    running.send_signal(signal.SIGINT)
    assert "Traceback" not in running.communicate()[1]
    assert running.returncode == 128 + signal.SIGINT
