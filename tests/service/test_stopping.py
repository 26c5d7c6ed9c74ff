"""A node's end: in order if there is time, and never later than promised."""

import fcntl
import os
import signal
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.kit.node import BASIC, LISTENER, PATIENCE, Node, greeting
from tests.service.conftest import MakeNode


@contextmanager
def client_in_data(node: Node) -> Iterator[smtplib.SMTP]:
    """A client that has begun to send its message, and not ended."""
    with node.logged_in() as client:
        client.mail("demo@relay.test")
        client.rcpt("you@example.com")
        assert client.docmd("DATA")[0] == 354
        yield client
        client.close()


def test_idle_clients_are_told(node: Node) -> None:
    node.start_and_wait()
    with socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE) as idle:
        idle.recv(100)
        assert node.stop() == 0
        assert idle.recv(100).startswith(b"421 4.3.2 ")
    with pytest.raises(ConnectionRefusedError):
        greeting(node.port)


def test_a_message_that_arrives_may_end_and_the_balancer_is_told(node: Node) -> None:
    node.start_and_wait()
    with client_in_data(node) as client:
        node.send(signal.SIGINT)
        node.wait_for("stopping", process="supervisor")
        assert node.ask("/readyz") == (503, "draining\n")
        client.send(b"From: demo@relay.test\r\n\r\nJust in time\r\n.\r\n")
        assert client.getreply()[0] == 250
    assert node.wait() == 0


def test_who_never_ends_does_not_keep_it(make_node: MakeNode) -> None:
    node = make_node(BASIC.replace("stop_seconds = 5", "stop_seconds = 1") + LISTENER)
    node.start_and_wait()
    with client_in_data(node):
        assert node.stop() == 0


def test_told_twice_it_stops_at_once(node: Node) -> None:
    node.start_and_wait()
    with client_in_data(node):
        node.send(signal.SIGTERM)
        node.wait_for("stopping", process="supervisor")
        assert node.stop() == os.EX_SOFTWARE


def test_it_can_be_stopped_while_it_starts(node: Node) -> None:
    for _start in range(2):
        node.start()
        node.wait_for("started", process="relay")  # the admin process takes longer
        assert node.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_stopped_before_there_is_anything_to_stop(node: Node, number: signal.Signals) -> None:
    lock = node.data_dir / "run" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("wb") as held:  # by children of a relay that is dead: for those a start waits
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(b"%d\n" % 2**30)
        held.flush()
        node.start()
        while not has_open(node.process.pid, lock):
            pass
        assert node.stop(number) == 0


def has_open(pid: int, path: Path) -> bool:
    with suppress(FileNotFoundError):  # closed at this moment
        return any(each.readlink() == path for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_it_does_not_outlive_the_terminal_it_was_started_at(node: Node) -> None:
    ours, theirs = os.openpty()
    node.start(stderr=theirs)
    os.close(theirs)
    node.wait_for("started", process="supervisor")
    os.close(ours)
    assert node.stop(signal.SIGHUP) == 0
