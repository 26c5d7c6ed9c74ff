"""The relay as a package: whoever installs the wheel has all of it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, as pip would put it there."""
    made = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made], cwd=ROOT, check=True
    )
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(made / "site")
    return made / "site"


def test_out_of_a_wheel_it_makes_its_database(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed), "RELAY_DATA_DIR": str(tmp_path / "data")}
    for command in (["migrate"], ["user", "list"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "relay", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/relay.db").is_file()


def test_nothing_of_the_checkout_but_the_relay_is_in_it(installed: Path) -> None:
    named = {path.name for path in installed.iterdir()}
    assert {name for name in named if not name.endswith(".dist-info")} == {"relay"}
