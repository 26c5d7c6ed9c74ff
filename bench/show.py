#!/usr/bin/env python3
"""Medians of result files as a table: show.py FILE... [--reference PEER]."""

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

Runs = list[dict[str, Any]]

# figure in the results, heading, decimals
COLUMNS = (
    ("delivered_per_s", "del/s", 0),
    ("accepted_per_s", "acc/s", 0),
    ("rcpts_per_s", "rcpt/s", 0),
    ("mb_per_s", "MB/s", 0),
    ("accept_p50_ms", "acc50", 1),
    ("accept_p99_ms", "acc99", 1),
    ("dot_p50_ms", "dot50", 1),
    ("dot_p99_ms", "dot99", 1),
    ("e2e_p50_ms", "e2e50", 0),
    ("e2e_p99_ms", "e2e99", 0),
    ("cpu_s_per_1000", "cpu/1k", 2),
    ("rss_peak_mb", "rssMB", 0),
    ("pss_peak_mb", "pssMB", 0),
    ("procs", "procs", 0),
    ("disk_flushes", "flush", 0),
    ("sink_connections", "sinkcon", 0),
    ("lost", "lost", 0),
    ("duplicate_rcpts", "dup", 0),
    ("corrupt", "corrupt", 0),
    ("errors", "errors", 0),
    ("noisy", "noisy", 0),
    ("other_cpu_s", "other", 2),
    ("wall_s", "wall", 1),
    ("calib_cpu_ms", "calCPU", 1),
    ("calib_fsync_us", "calFS", 0),
)
WORST = {"lost", "duplicate_rcpts", "corrupt", "errors", "noisy"}  # summed: no median may hide one


def read(files: list[Path]) -> dict[tuple[str, str], Runs]:
    """All runs, by scenario and label."""
    groups: defaultdict[tuple[str, str], Runs] = defaultdict(list)
    for file in files:
        for line in file.read_text().splitlines():
            run = json.loads(line)
            groups[run["scenario"], run["label"]].append(run)
    return dict(groups)


def figure(runs: Runs, name: str) -> float:
    """The median of one figure, or the sum of one that has to be zero."""
    values = [float(run[name]) for run in runs]
    return sum(values) if name in WORST else statistics.median(values)


def main() -> None:
    """Print the table, the fastest peer of each scenario first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--reference", default="postfix", help="the peer that is 1.00 (postfix)")
    options = parser.parse_args()
    groups = read(options.files)

    headings = " ".join(f"{heading:>7}" for _, heading, _ in COLUMNS)
    print(f"{'':4} {'peer':20} {'k':>2} {'ratio':>6} {headings}  spread(del/s)")
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -figure(item[1], "delivered_per_s")))
    for (scenario, label), runs in ordered:
        rates = [run["delivered_per_s"] for run in runs]
        reference = groups.get((scenario, options.reference))
        base = figure(reference, "delivered_per_s") if reference else 0
        ratio = f"{figure(runs, 'delivered_per_s') / base:.2f}" if base else "-"
        cells = " ".join(f"{figure(runs, name):7.{decimals}f}" for name, _, decimals in COLUMNS)
        spread = f"{min(rates):.0f}-{max(rates):.0f}"
        print(f"{scenario:4} {label:20} {len(runs):2} {ratio:>6} {cells}  {spread}")


if __name__ == "__main__":
    main()
