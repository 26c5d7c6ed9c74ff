"""What `./run` says before there is a relay that could say anything."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap

ROOT = Path(__file__).resolve().parent.parent


def begun(venv: Path, *program: Path | str) -> "subprocess.Popen[str]":
    """`./run version`, with its libraries in *venv*; *program*: another way to call it."""
    return subprocess.Popen(
        [*(program or (sys.executable, ROOT / "bootstrap.py")), "version"],
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


def test_a_link_to_it_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "relay").symlink_to(ROOT / "run")
    (tmp_path / "file").touch()
    told = begun(tmp_path / "file/below/venv", tmp_path / "relay").communicate()[1]
    assert told.startswith("relay: could not prepare")


def test_who_breaks_off_sees_no_traceback(tmp_path: Path) -> None:
    running = begun(tmp_path / "venv")
    assert running.stderr is not None
    assert running.stderr.readline().startswith("relay: preparing")
    running.send_signal(signal.SIGINT)
    assert "Traceback" not in running.communicate()[1]
    assert running.returncode == 128 + signal.SIGINT


def test_a_python_that_was_only_mended_needs_no_libraries_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a relay that runs would lose its own to the next command after an update of the system."""
    before = bootstrap.layer_key(bootstrap.RUNTIME_LOCK)
    monkeypatch.setattr(sys, "version", "3.11.99 (mended)")
    assert bootstrap.layer_key(bootstrap.RUNTIME_LOCK) == before
    monkeypatch.setattr(bootstrap, "VENV", Path("/elsewhere"))
    assert bootstrap.layer_key(bootstrap.RUNTIME_LOCK) != before
