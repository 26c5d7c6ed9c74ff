"""Fuzz every target for its share of the time: `./run fuzz [seconds] [target ...]`.

Each target runs in a process of its own, because atheris never returns.  What it finds stays in
tests/fuzz/findings/, named for its target; run that file again with `./run fuzz 1 target`.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
FINDINGS = Path(__file__).resolve().parent / "findings"


def fuzz(name: str, arguments: list[str]) -> None:
    """Be the process that fuzzes one target, for ever or as *arguments* (of libFuzzer) say."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["relay"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Let a process fuzz one target; say how often it ran, and whether nothing was found."""
    from tests.fuzz.targets import SEEDS

    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=700", "-timeout=10", "-print_final_stats=1"]
        options += [f"-artifact_prefix={FINDINGS}/{name}-", corpus]
        ended = subprocess.run(
            [sys.executable, __file__, "--one", name, *options], capture_output=True, text=True, check=False
        )
    said = ended.stdout + ended.stderr
    executions = re.findall(r"stat::number_of_executed_units:\s+(\d+)", said) or ["0"]
    is_well = ended.returncode == 0
    result = "nothing found" if is_well else "FOUND"
    say(f"{name:10} {seconds:5} s {int(executions[-1]):10,} runs  {result}\n")
    if not is_well:
        say(said[-3000:])
    return is_well


def say(text: str) -> None:
    """Tell it at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    """Share the time out among the targets; 1 if anything was found."""
    from tests.fuzz.targets import TARGETS

    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    names = sys.argv[2:] or list(TARGETS)
    results = [run(name, max(1, seconds // len(names))) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
