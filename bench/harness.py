"""The things a run is made of: scenarios, peers under test, and the generator."""

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.measure import Cgroup

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("BENCH_WORK", "/var/tmp/smtpbench"))  # noqa: S108 -- a real disk, not tmpfs
PORT = int(os.environ.get("BENCH_PORT", "12587"))
SINK_PORT = int(os.environ.get("BENCH_SINK_PORT", "12525"))
USERS = int(os.environ.get("BENCH_USERS", "20"))

START_SECONDS = 90
STOP_SECONDS = 60
TERMINATE_SECONDS = 8
SINK_SILENCE_SECONDS = 30  # messages that did not arrive in this long a silence are lost

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of traffic, as flags of the generator."""

    messages: int
    warm_up: int
    flags: tuple[str, ...]


USER = "u%04d@bench.test"
CREDENTIALS = (
    *("--auth", "plain", "--user", USER, "--password", "secret%04d"),
    *("--from", USER, "--user-count", str(USERS)),
)
SECURE = ("--starttls", *CREDENTIALS)

SCENARIOS = {
    "s1": Scenario(3000, 200, ("--from", "plain@open.test", "--per-conn", "1")),
    "s1a": Scenario(3000, 200, (*CREDENTIALS, "--per-conn", "1")),
    "s2": Scenario(3000, 200, (*SECURE, "--per-conn", "1")),
    "s2r": Scenario(3000, 200, (*SECURE, "--per-conn", "1", "--resume")),
    "s3": Scenario(6000, 200, (*SECURE, "--per-conn", "100")),
    "s3p": Scenario(6000, 200, (*SECURE, "--per-conn", "100", "--pipeline")),
    "s4": Scenario(1000, 40, (*SECURE, "--per-conn", "100", "--rcpts", "50")),
    "s5": Scenario(50, 10, (*SECURE, "--per-conn", "1", "--size", "10485760", "--sessions", "10")),
    "s6": Scenario(3000, 200, (*SECURE, "--per-conn", "100", "--sink-delay-ms", "50")),
}

PEERS = sorted(script.parent.name for script in HERE.glob("peers/*/start"))

# What a peer needs beside the scenario's own flags; a later flag wins.
PEER_FLAGS = {
    ("relay", "s1"): CREDENTIALS,  # every client of the relay has to log in
}


class Peer:
    """One server under test, running inside its own control group while the context lasts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scripts = HERE / "peers" / name
        self.log = WORK / "log" / f"{name}.log"
        self.group = Cgroup(name)
        if pids := self.group.pids():
            raise SystemExit(f"{name} still runs: {pids}")

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # The shell joins the control group before it becomes the start script.
        join = 'script=$1; shift; for d; do echo $$ > "$d/cgroup.procs" || exit 1; done; exec "$script"'
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                ["/bin/sh", "-c", join, "sh", str(self.scripts / "start"), *map(str, self.group.directories)],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_for_greeting()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """What the start and stop scripts are told."""
        return os.environ | {
            "BENCH_WORK": str(WORK),
            "BENCH_DIR": str(HERE),
            "BENCH_PORT": str(PORT),
            "BENCH_SINK_PORT": str(SINK_PORT),
            "BENCH_USERS": str(USERS),
        }

    def wait_for_greeting(self) -> None:
        """Return once the peer says 220; give up when its start script failed or after START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self.child.poll():
            try:
                with socket.create_connection(("127.0.0.1", PORT), timeout=2) as client:
                    if client.recv(3) == b"220":
                        client.sendall(b"QUIT\r\n")
                        client.recv(200)
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer on port {PORT}; see {self.log}")

    def stop(self) -> None:
        """Stop the peer by its own script if it has one, then end whatever is left of it."""
        script = self.scripts / "stop"
        if script.exists():
            subprocess.run(
                [script],
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=STOP_SECONDS,
                check=False,
            )
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal_all(number)
        self.child.wait(TERMINATE_SECONDS)
        self.group.remove()

    def signal_all(self, number: signal.Signals) -> None:
        """Signal every process of the peer and wait a while for them to end."""
        for pid in self.group.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + TERMINATE_SECONDS
        while self.group.pids() and time.monotonic() < deadline:
            self.child.poll()
            time.sleep(0.1)


def generate(peer: str, scenario: str, messages: int, label: str, extra: list[str]) -> Result:
    """Send *messages* through the peer into the sink, and return the generator's figures."""
    command = [str(HERE / "smtpbench"), "--host", "127.0.0.1", "--port", str(PORT), "--sink", str(SINK_PORT)]
    command += ["--messages", str(messages), "--timeout", str(SINK_SILENCE_SECONDS)]
    command += ["--label", label, "--scenario", scenario]
    command += [*SCENARIOS[scenario].flags, *PEER_FLAGS.get((peer, scenario), ()), *extra]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if not run.stdout:
        raise SystemExit(f"the generator failed with exit status {run.returncode}")
    result: Result = json.loads(run.stdout)
    return result


def is_whole(result: Result) -> bool:
    """Every message was accepted, and arrived once and unchanged."""
    faults = sum(result[name] for name in ("lost", "duplicate_rcpts", "corrupt"))
    return bool(result["accepted"] == result["messages"] and faults == 0)
