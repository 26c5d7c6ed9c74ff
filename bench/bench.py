"""Side-by-side benchmark of SMTP relays: one JSON line for each run.

    bench/run postfix,relay s1,s2,s3 --repeat 3 --out bench/results/today.jsonl

Each round starts every peer in turn, inside its own control group, warms it up and measures every scenario.
The rounds interleave the peers, so that a slow hour of the machine meets them all.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.harness import HERE, PEERS, SCENARIOS, WORK, Peer, Result, generate, is_whole
from bench.measure import Meter, calibrate, wait_until_quiet

AFTERMATH_SECONDS = 1.0  # what a peer still does after the last delivery is part of its cost
PAUSE_SECONDS = 0.5
QUIET_CORES = 0.12


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Make a parser of names with commas between, all of them *known*."""
    allowed = set(known)

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in allowed]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return chosen

    return parse


def parse_arguments() -> argparse.Namespace:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(
        prog="bench/run",
        usage="%(prog)s [options] PEERS SCENARIOS [-- more flags for smtpbench]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("peers", type=names(PEERS), help="commas between; known: " + " ".join(PEERS))
    add("scenarios", type=names(SCENARIOS), help="commas between; known: " + " ".join(SCENARIOS))
    add("-n", "--messages", type=int, help="instead of the scenario's own number")
    add("--repeat", type=int, default=1, metavar="R", help="rounds (1)")
    add("--out", type=Path, help="append the JSON lines to this file as well")
    add("--tag", default="", help="text put behind the peer's name in the results")
    add("--quiet", type=float, default=180, metavar="S", help="wait at most S seconds for quiet (180)")
    add("--noise", type=float, default=0.15, metavar="C", help="cores others may use during a run (0.15)")
    add("--tries", type=int, default=6, help="how often a noisy run is repeated (6)")
    own, flags = sys.argv[1:], []
    if "--" in own:
        end = own.index("--")
        own, flags = own[:end], own[end + 1 :]
    return parser.parse_args(own, argparse.Namespace(flags=flags))


def run_once(peer: Peer, scenario: str, options: argparse.Namespace) -> Result:
    """One measured run against a peer that is running and warm."""
    wait_until_quiet(WORK, QUIET_CORES, options.quiet)
    calibration = calibrate(WORK)
    meter = Meter(peer.group, WORK)
    messages = options.messages or SCENARIOS[scenario].messages
    start = time.monotonic()
    result = generate(peer.name, scenario, messages, peer.name + options.tag, options.flags)
    wall = time.monotonic() - start
    time.sleep(AFTERMATH_SECONDS)
    costs = meter.finish(result["accepted"])
    known = costs["cpu_s"] + result["gen_cpu_s"] + result["sink_cpu_s"]
    others = costs["machine_cpu_s"] - known
    return (
        result
        | costs
        | calibration
        | {
            "other_cpu_s": round(others, 2),
            "wall_s": round(wall, 2),
            "noisy": others > options.noise * (wall + AFTERMATH_SECONDS),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
    )


def run_undisturbed(peer: Peer, scenario: str, options: argparse.Namespace) -> Result:
    """Repeat a run that others disturbed; the last one counts even if noisy."""
    for _ in range(options.tries):
        result = run_once(peer, scenario, options)
        if not result["noisy"]:
            return result
        print(f"{peer.name} {scenario}: others used {result['other_cpu_s']} s; again", file=sys.stderr)
    return run_once(peer, scenario, options)


def report(result: Result, out: Path | None) -> None:
    """Print the result, and keep it."""
    line = json.dumps(result)
    print(line, flush=True)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a") as file:
            file.write(line + "\n")


def main() -> int:
    """Run the rounds; 1 when any message was lost, doubled or changed."""
    options = parse_arguments()
    if not (HERE / "smtpbench").exists() or not (WORK / "users.txt").exists():
        raise SystemExit("run bench/setup.sh first")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    broken = 0
    for _ in range(options.repeat):
        for name in options.peers:
            with Peer(name) as peer:
                for scenario in options.scenarios:
                    generate(name, scenario, SCENARIOS[scenario].warm_up, "warm-up", options.flags)
                    time.sleep(PAUSE_SECONDS)
                    result = run_undisturbed(peer, scenario, options)
                    report(result, options.out)
                    broken += not is_whole(result)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
