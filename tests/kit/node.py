"""A whole node as an operator starts it: a real `relay serve` with its processes, ports and signals."""

import contextlib
import json
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVE = (sys.executable, "-m", "relay", "serve")
PATIENCE = 30.0  # seconds: how long before a test gives up, never how long something may take

BASIC = """
data_dir = "{directory}/data"
node = "n"
hostname = "relay.test"
[admin]
listen = "127.0.0.1:0"
[log]
format = "json"
level = "debug"
[processes]
stop_seconds = 5
"""
LISTENER = """
[[listeners]]
name = "submission"
address = "127.0.0.1"
ports = ["0"]
tls = "starttls-required"
"""
HELLO = b"From: demo@relay.test\r\nSubject: Hello\r\n\r\nHello\r\n"

TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # self-signed certificates are what these nodes have
TRUSTING.check_hostname = False
TRUSTING.verify_mode = ssl.CERT_NONE


def greeting(port: int) -> bytes:
    """What the door on *port* says first."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        return connection.recv(100)


class Node:
    """`relay serve` on a configuration in *directory*; *text* is its TOML."""

    def __init__(self, directory: Path, text: str = BASIC + LISTENER) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.config = directory / "relay.toml"
        self.config.write_text(text.format(directory=directory))
        self.events: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        self._has_fallen_silent = False
        self._process: subprocess.Popen[str] | None = None
        self._words = directory / "stderr"
        self._password: str | None = None

    def start(self, *options: str, stderr: int | None = None) -> None:
        """Start it and come back at once; what it says to a human goes to the file *stderr*, or is kept."""
        self.events.clear()
        self._has_fallen_silent = False
        with self._words.open("w") as words:
            self._process = subprocess.Popen(
                [*SERVE, "--config", str(self.config), *options],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=words if stderr is None else stderr,
                text=True,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, args=(self._process,))
        self._listener.start()

    def start_and_wait(self, *options: str) -> dict[str, Any]:
        """Start it, and return the event that says it is ready."""
        self.start(*options)
        return self.wait_for("started", process="supervisor")

    def run_to_its_end(self, *options: str) -> int:
        """Start what is expected to end by itself; return its exit code."""
        self.start(*options)
        return self.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; return its exit code."""
        self.send(number)
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self, process: str) -> None:
        """Kill the process of that name, as it is now, without a warning."""
        os.kill(self.found("started", process=process)["pid"], signal.SIGKILL)

    def command(self, *words: str, said: str = "") -> str:
        """Run `relay *words*` on the same configuration, with *said* as its input; return its output."""
        return subprocess.run(
            [sys.executable, "-m", "relay", *words, "--config", str(self.config)],
            cwd=ROOT,
            input=said,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def wait_for_silence(self) -> None:
        """Wait until no process of it is left that could say anything."""
        self.wait()
        self._listener.join(PATIENCE)
        assert not self._listener.is_alive()

    def clean_up(self) -> None:
        """End all of it, whatever happened."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._listener.join()

    @property
    def process(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    @property
    def words(self) -> str:
        """What it said to a human."""
        return self._words.read_text()

    def uses_password(self, password: str) -> None:
        """The demo user's password was told by another node."""
        self._password = password

    @property
    def password(self) -> str:
        """The demo user's, as the first start told it."""
        if self._password is None:
            (self._password,) = re.findall(r"(?m)^  password +(\w+) ", self.words)
        return str(self._password)

    @contextlib.contextmanager
    def logged_in(self) -> Iterator[smtplib.SMTP]:
        """A client of the demo user."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.starttls(context=TRUSTING)
            client.login("demo@relay.test", self.password)
            yield client

    def send_hello(self) -> None:
        """Send a small message as the demo user."""
        with self.logged_in() as client:
            client.sendmail("demo@relay.test", ["you@example.com"], HELLO)

    def ask(self, path: str) -> tuple[int, str]:
        """Ask the admin process for *path*; return the status and what it says."""
        try:
            with urllib.request.urlopen(self.admin + path, timeout=PATIENCE) as answer:  # noqa: S310  our own
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    @property
    def port(self) -> int:
        """The first port of the first listener."""
        listeners = self.found("started", process="supervisor")["listeners"]
        return int(next(iter(listeners.values())).partition("-")[0].split()[0])

    @property
    def admin(self) -> str:
        """Where health and metrics are asked for."""
        return f"http://{self.found('started', process='supervisor')['admin']}"

    def wait_for(self, event: str, *, times: int = 1, **facts: Any) -> dict[str, Any]:
        """Wait until an event was logged (so many times), and return it."""

        def is_settled() -> bool:
            return len(self._all(event, facts)) >= times or self._has_fallen_silent

        with self._heard:
            self._heard.wait_for(is_settled, PATIENCE)
            found = self._all(event, facts)
        assert len(found) >= times, f"no {event} {facts} in {self.events}\n{self.words}"
        return found[times - 1]

    def found(self, event: str, **facts: Any) -> dict[str, Any]:
        """Return the last event of that kind."""
        return self._all(event, facts)[-1]

    def _all(self, event: str, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        wanted = {"event": event, **facts}
        return [each for each in self.events if all(each.get(name) == wanted[name] for name in wanted)]

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._heard:
                    self.events.append(json.loads(line))
                    self._heard.notify_all()
        with self._heard:
            self._has_fallen_silent = True
            self._heard.notify_all()
