"""Law 1 and law 4, under the axe: the relay process is killed again and again while mail flows.

Every message that was acknowledged arrives; one may arrive twice if the kill came between the
upstream's answer and our commit of it.  A longer run: RELAY_KILL_MESSAGES=5000 RELAY_KILLS=10.
"""

import asyncio
import os
import smtplib
import threading
from collections import Counter
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.kit.node import BASIC, Node

MESSAGES = int(os.environ.get("RELAY_KILL_MESSAGES", "300"))
KILLS = int(os.environ.get("RELAY_KILLS", "3"))
CLIENTS = 8
PATIENCE = 150.0

CLEAR = """
[[listeners]]
name = "clear"
address = "127.0.0.1"
ports = ["0"]
tls = "none"
auth_without_tls = true
"""


class Sink:
    """An upstream in a thread of its own that takes everything and counts what it is."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    letter = await reader.readuntil(b"\r\n.\r\n")
                    name = letter.split(b"Message-ID: ", 1)[1].split(b"\r\n", 1)[0]
                    self.arrived[name.decode()] += 1
                writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                if verb == b"QUIT":
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def send_all(port: int, numbers: list[int], acknowledged: set[str], fault: threading.Event) -> None:
    """Send messages one by one, over whatever connections it takes; note those that got their 250."""
    client: smtplib.SMTP | None = None
    for number in numbers:
        name = f"<{number}@kill.test>"
        letter = f"From: demo@relay.test\r\nMessage-ID: {name}\r\nDate: now\r\n\r\n{'x' * 2000}\r\n"
        until = monotonic() + PATIENCE
        while monotonic() < until:
            try:
                if client is None:
                    client = smtplib.SMTP("127.0.0.1", port, timeout=20)
                    client.login("demo@relay.test", "correct-horse")
                client.sendmail("demo@relay.test", ["bob@example.org"], letter)
                acknowledged.add(name)
                break
            except (OSError, smtplib.SMTPException):
                client = None
                sleep(0.05)
        else:
            fault.set()
    if client is not None:
        client.close()


@pytest.mark.timeout(PATIENCE * 2)
def test_whatever_is_killed_no_acknowledged_message_is_lost(tmp_path: Path) -> None:
    sink, node = Sink(), Node(tmp_path, BASIC + CLEAR)
    acknowledged: set[str] = set()
    gave_up = threading.Event()
    try:
        node.command("migrate")
        node.command(
            "user",
            "add",
            "demo@relay.test",
            "--password-stdin",
            "--sender",
            "relay.test",
            said="correct-horse\n",
        )
        node.command(
            "upstream",
            "add",
            "sink",
            "--host",
            "127.0.0.1",
            "--port",
            str(sink.port),
            "--tls",
            "none",
            "--no-test",
        )
        node.start_and_wait()
        senders = [
            threading.Thread(
                target=send_all, args=(node.port, list(range(n, MESSAGES, CLIENTS)), acknowledged, gave_up)
            )
            for n in range(CLIENTS)
        ]
        for sender in senders:
            sender.start()
        for killed in range(1, KILLS + 1):
            while len(acknowledged) < MESSAGES * killed // (KILLS + 1) and not gave_up.is_set():
                sleep(0.01)
            node.kill("relay")
            node.wait_for("started", process="relay", times=killed + 1)
        for sender in senders:
            sender.join()
        until = monotonic() + PATIENCE
        while not acknowledged <= sink.arrived.keys() and monotonic() < until:
            sleep(0.1)
        lost = acknowledged - sink.arrived.keys()
        twice = sum(count - 1 for count in sink.arrived.values())
        print(f"{len(acknowledged)} acknowledged, {len(lost)} lost, {twice} delivered twice, {KILLS} kills")  # noqa: T201
        assert not gave_up.is_set()
        assert len(acknowledged) == MESSAGES
        assert not lost
    finally:
        node.clean_up()
        sink.close()
