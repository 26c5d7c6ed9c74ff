"""Measure what five thousand clients that do nothing, and two hundred that work, cost a relay.

.venv/bin/python bench/idle.py [--plain 2500] [--tls 2500] [--active 200] [--seconds 10]

It starts a relay of its own on SQLite (in a scratch folder), logs the idle in, and prints one line of JSON
for each step: the memory of the relay process (resident, and proportional to what it shares), how long the
active clients waited for their 250, a message a second each, and whole submissions from connection to QUIT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by hand, it sees only its folder

from tests.kit.node import Node

CONFIG = """
data_dir = "{directory}/data"
hostname = "relay.test"
[admin]
listen = "127.0.0.1:0"
[log]
format = "json"
level = "info"
[[listeners]]
name = "a-clear"
address = "127.0.0.1"
ports = ["0"]
tls = "starttls"
auth_without_tls = true
[[listeners]]
name = "b-implicit"
address = "127.0.0.1"
ports = ["0"]
tls = "implicit"
"""
CLIENTS_AN_ADDRESS = 150
LETTER = b"From: demo@relay.test\r\nTo: you@example.com\r\nSubject: load\r\n\r\n" + b"x" * 70 + b"\r\n.\r\n"


class Session:
    """One client that is logged in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def begin(cls, number: int, port: int, proof: str, tls: ssl.SSLContext | None) -> Session:
        """Connect from one of many addresses, and log in."""
        source = (f"127.0.1.{number // CLIENTS_AN_ADDRESS + 1}", 0)
        session = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, local_addr=source))
        await session.heard()
        await session.ask(b"EHLO idle.example.com\r\n")
        assert (await session.ask(f"AUTH PLAIN {proof}\r\n".encode())).startswith(b"235")
        return session

    async def ask(self, line: bytes) -> bytes:
        """Say *line*; return the last line of the answer."""
        self.writer.write(line)
        return await self.heard()

    async def heard(self) -> bytes:
        """Return the last line of a reply."""
        while (line := await self.reader.readline())[3:4] == b"-":
            pass
        return line

    async def submit(self) -> float:
        """Send a message; return the seconds it took."""
        began = time.perf_counter()
        for line in (b"MAIL FROM:<demo@relay.test>\r\n", b"RCPT TO:<you@example.com>\r\n", b"DATA\r\n"):
            answer = await self.ask(line)
        answer = await self.ask(LETTER)
        assert answer.startswith(b"250"), answer
        return time.perf_counter() - began


def memory_of(pid: int) -> dict[str, float]:
    """Return the megabytes of a process: resident, and with a fair part of what is shared."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {line.split()[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    return {"rss_mb": round(found["Rss:"] / 1024, 1), "pss_mb": round(found["Pss:"] / 1024, 1)}


def told(step: str, **facts: object) -> None:
    """Print one line of what was measured."""
    print(json.dumps({"step": step, **facts}), flush=True)


def spread(seconds: list[float]) -> dict[str, float]:
    """Return the median and the slow end, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"n": len(seconds), "p50_ms": round(cuts[49] * 1e3, 1), "p99_ms": round(cuts[98] * 1e3, 1)}


async def connect(count: int, first: int, port: int, proof: str, tls: ssl.SSLContext | None) -> list[Session]:
    """Let so many clients in, fifty at a time."""
    sessions: list[Session] = []
    for start in range(0, count, 50):
        numbers = range(first + start, first + min(start + 50, count))
        sessions += await asyncio.gather(*(Session.begin(number, port, proof, tls) for number in numbers))
    return sessions


async def work(session: Session, until: float, offset: float, waited: list[float]) -> None:
    """Send a message a second."""
    await asyncio.sleep(offset)
    while time.perf_counter() < until:
        took = await session.submit()
        waited.append(took)
        await asyncio.sleep(max(0.0, 1 - took))


async def whole(number: int, port: int, proof: str, tls: ssl.SSLContext, until: float) -> list[float]:
    """Connect, log in, send and leave, again and again."""
    took: list[float] = []
    while time.perf_counter() < until:
        began = time.perf_counter()
        session = await Session.begin(number, port, proof, tls)
        await session.submit()
        await session.ask(b"QUIT\r\n")
        session.writer.close()
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.1)
    return took


async def measure(node: Node, wanted: argparse.Namespace) -> None:
    """Let them in, kind by kind, and look at the relay after each."""
    listeners = node.found("started", process="supervisor")["listeners"]
    clear, implicit = (int(listeners[name]) for name in ("a-clear", "b-implicit"))
    pid = node.found("started", process="relay")["pid"]
    proof = b64encode(f"\0demo@relay.test\0{node.password}".encode()).decode()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    everybody = await connect(1, 0, clear, proof, None)
    await everybody[0].submit()
    before = memory_of(pid)
    told("empty", **before)
    for kind, count, port, context in (
        ("plain", wanted.plain, clear, None),
        ("tls", wanted.tls, implicit, tls),
    ):
        everybody += await connect(count, len(everybody), port, proof, context)
        after = memory_of(pid)
        each = round((after["pss_mb"] - before["pss_mb"]) * 1024 / max(count, 1), 1)
        told(f"idle {kind}", clients=len(everybody), each_kb=each, **after)
        before = after
    active = await connect(wanted.active, len(everybody), clear, proof, None)
    until = time.perf_counter() + wanted.seconds
    waited: list[float] = []
    working = [work(each, until, n / len(active), waited) for n, each in enumerate(active)]
    visiting = asyncio.create_task(whole(0, implicit, proof, tls, until))
    await asyncio.gather(*working)
    took = await visiting
    told("active", clients=len(everybody) + len(active), messages=spread(waited), **memory_of(pid))
    told("whole submissions with TLS and login meanwhile", **spread(took))
    for each in [*everybody, *active]:
        each.writer.close()


def main() -> None:
    """Start a relay, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", type=int, default=2500)
    parser.add_argument("--tls", type=int, default=2500)
    parser.add_argument("--active", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=10)
    wanted = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="relay-idle-") as scratch:
        node = Node(Path(scratch), CONFIG)
        node.start_and_wait()
        node.command("settings", "set", "max_connections", "6000")
        try:
            asyncio.run(measure(node, wanted))
            told("stopped", code=node.stop())
        finally:
            node.clean_up()


if __name__ == "__main__":
    main()
