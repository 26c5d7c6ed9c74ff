"""Write docs/settings.md from the declarations in relay/settings.py.

.venv/bin/python docs/make_settings.py
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run by hand, this script sees only its own folder

from relay.settings import SETTINGS, Declared, render  # noqa: E402  see the line above

KINDS = {timedelta: "duration", int: "number", bool: "yes or no", str: "text"}

HEAD = """\
# Settings

What can change while the relay runs. A change takes effect on every node within seconds, without a restart.
What needs a restart is in [config/relay.example.toml](../config/relay.example.toml).

    ./run settings list
    ./run settings set retry_first 10m
    ./run settings reset retry_first

A duration is written as `30m`, `4h` or `1d 12h`, and is a hundred years at most;
a number also as `25M` (of 1024 × 1024).

<!-- Made by docs/make_settings.py from relay/settings.py; a test checks that it is up to date. -->

| Setting | Kind | Default | At least | At most | What it is for |
|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(f"{row}\n" for row in rows())


def rows() -> Iterator[str]:
    """Return one row of the table for each setting."""
    for declared in SETTINGS.values():
        bounds = (bound(declared.least), bound(declared.most))
        cells = (f"`{declared.name}`", KINDS[declared.kind], default_of(declared), *bounds)
        yield f"| {' | '.join(cells)} | {declared.explanation} |"


def default_of(declared: Declared) -> str:
    """Return how the default is written, so that it could be typed in again."""
    return f"`{render(declared.default)}`" if declared.default != "" else "empty"


def bound(value: Any) -> str:
    """Return the least or the largest value, if there is one."""
    return "" if value is None else f"`{render(value)}`"


if __name__ == "__main__":
    (ROOT / "docs/settings.md").write_text(page(), encoding="utf-8")
