"""A node from start to stop, as an operator sees it: real processes, real signals."""

import os
import re
import signal
import smtplib
import socket
import ssl
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.certificates import CertificatePaths, ensure_self_signed
from tests.kit.node import BASIC, LISTENER, Node
from tests.service.conftest import MakeNode, needs_root

TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # self-signed certificates are what these nodes have
TRUSTING.check_hostname = False
TRUSTING.verify_mode = ssl.CERT_NONE
HELLO = b"From: demo@relay.test\r\nSubject: Hello\r\n\r\nHello\r\n"
NONSENSE = ["[[[", "listeners = 3", "\x00", "data_dir = 1", "[admin]\nlisten = 'x'"]

LIBRARY = Path(sysconfig.get_path("stdlib"))
NOBODY_CAN_LOAD_US = all(path.stat().st_mode & 0o005 == 0o005 for path in (LIBRARY, *LIBRARY.parents))


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        return connection.recv(100)


def status(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  our own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def password_in(words: str) -> str:
    (password,) = re.findall(r"(?m)^  password +(\w+) ", words)
    return str(password)


def send(node: Node, password: str, port: int | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", port or node.port, timeout=20) as client:
        client.starttls(context=TRUSTING)
        client.login("demo@relay.test", password)
        client.sendmail("demo@relay.test", ["you@example.com"], HELLO)


# --- starting --------------------------------------------------------------------------------


def test_the_first_start_shows_a_demo_user_that_can_send(node: Node) -> None:
    node.start_and_wait()
    send(node, password_in(node.words))
    accepted = node.wait_for("message_accepted")
    assert accepted["user"] == "demo@relay.test"


def test_the_password_is_told_at_the_first_start_only(node: Node) -> None:
    node.start_and_wait()
    password = password_in(node.words)
    node.stop()
    node.start_and_wait()
    assert password not in node.words
    assert node.words.count("\n") == 1
    send(node, password)


def test_what_it_keeps_is_its_own(node: Node) -> None:
    node.start_and_wait()
    assert node.data_dir.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in node.data_dir.rglob("*"))


def test_one_process_is_a_node_too(node: Node) -> None:
    node.start_and_wait("--in-one-process")
    send(node, password_in(node.words))
    assert status(f"{node.admin}/readyz") == (200, "ready\n")
    assert "relay_messages_accepted_total" in status(f"{node.admin}/metrics")[1]
    assert node.stop() == 0


def test_a_thousand_ports_in_one_listener(make_node: MakeNode) -> None:
    first = free_ports(1000)
    node = make_node(BASIC + LISTENER.replace('"0"', f'"{first}-{first + 999}"'))
    assert node.start_and_wait()["listeners"] == {"submission": f"{first}-{first + 999}"}
    for port in (first, first + 500, first + 999):
        assert greeting(port).startswith(b"220 relay.test ")
    assert node.stop() == 0


def free_ports(count: int) -> int:
    for first in range(20000, 60000, count):
        taken: list[socket.socket] = []
        try:
            taken.extend(socket.create_server(("127.0.0.1", first + n)) for n in range(count))
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
        return first
    raise AssertionError("nowhere are so many ports free")


@needs_root
@pytest.mark.skipif(not NOBODY_CAN_LOAD_US, reason="this Python lies where nobody may read it")
def test_root_opens_the_ports_and_becomes_somebody_else(make_node: MakeNode, tmp_path: Path) -> None:
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        path.chmod(0o755)  # pytest keeps its folders closed to others
    node = make_node('user = "nobody"\n' + BASIC + LISTENER)
    for _start in range(2):
        node.start_and_wait()
        assert Path(f"/proc/{node.found('started', process='relay')['pid']}").owner() == "nobody"
        assert {path.owner() for path in (node.data_dir, *node.data_dir.rglob("*"))} == {"nobody"}
        assert node.stop() == 0


@needs_root
@pytest.mark.skipif(NOBODY_CAN_LOAD_US, reason="this Python lies where everybody may read it")
def test_a_user_that_may_not_read_the_relay_is_named(make_node: MakeNode) -> None:
    node = make_node('user = "nobody"\n' + BASIC + LISTENER)
    assert node.run_to_its_end() == os.EX_NOPERM
    assert '"nobody" may not read ' in node.words


@needs_root
def test_a_user_that_does_not_exist_is_named(make_node: MakeNode) -> None:
    node = make_node('user = "no-such-user"\n' + BASIC + LISTENER)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert 'There is no user "no-such-user"' in node.words


# --- not starting ----------------------------------------------------------------------------


def test_a_port_in_use_is_named(make_node: MakeNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        node = make_node(BASIC + LISTENER.replace('"0"', f'"{port}"'))
        assert node.run_to_its_end() == os.EX_CANTCREAT
    assert f'Port {port} (listener "submission") is already in use' in node.words


def test_two_listeners_cannot_have_the_same_port(make_node: MakeNode) -> None:
    one, other = (LISTENER.replace("submission", name).replace('"0"', '"2525"') for name in "ab")
    node = make_node(BASIC + one + other)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert 'Port 2525 stands in listener "a" and in listener "b".' in node.words


def test_only_one_relay_in_a_data_directory(node: Node, make_node: MakeNode) -> None:
    node.start_and_wait()
    second = make_node(node.config.read_text())
    assert second.run_to_its_end() == os.EX_CANTCREAT
    assert f"Another relay is running in {node.data_dir} (process {node.process.pid})" in second.words
    assert status(f"{node.admin}/readyz")[0] == 200


def test_a_mistake_in_the_configuration_is_explained(make_node: MakeNode) -> None:
    node = make_node("data_dirr = 'x'\n" + BASIC + LISTENER)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert 'unknown key "data_dirr"; did you mean "data_dir"?' in node.words


def test_a_certificate_that_cannot_be_read_is_named(make_node: MakeNode) -> None:
    node = make_node(BASIC + '[tls]\ncertificate = "/nowhere.pem"\nkey = "/nowhere.key"\n' + LISTENER)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert "/nowhere.pem" in node.words


def test_a_certificate_with_another_key_is_named(make_node: MakeNode, tmp_path: Path) -> None:
    ours, theirs = (made_certificate(tmp_path / name) for name in ("ours", "theirs"))
    tls = f'[tls]\ncertificate = "{ours.certificate}"\nkey = "{theirs.key}"\n'
    node = make_node(BASIC + tls + LISTENER)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert "cannot be used" in node.words


def test_a_database_that_does_not_answer_is_named_without_its_password(make_node: MakeNode) -> None:
    node = make_node(BASIC + '[database]\nurl = "postgresql://relay:hidden@127.0.0.1:1/relay"\n' + LISTENER)
    assert node.run_to_its_end() == os.EX_UNAVAILABLE
    assert "relay:***@127.0.0.1:1/relay" in node.words
    assert "hidden" not in node.words


@pytest.mark.parametrize(
    "nonsense", ["[[[", "listeners = 3", "\x00", "data_dir = 1", "[admin]\nlisten = 'x'"]
)
def test_no_configuration_makes_a_traceback(make_node: MakeNode, nonsense: str) -> None:
    node = make_node(nonsense)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert "Traceback" not in node.words
    assert node.words.strip()


# --- living ----------------------------------------------------------------------------------


def test_a_killed_relay_process_comes_back(node: Node) -> None:
    node.start_and_wait()
    password = password_in(node.words)
    for life in range(1, 4):
        relay = node.wait_for("started", process="relay", times=life)
        os.kill(relay["pid"], signal.SIGKILL)
        died = node.wait_for("child_died", process="relay-0", times=life)
        assert died["status"] == "killed by SIGKILL"
        # The port was open all the time: a client that comes now only waits.
        send(node, password)
    assert node.stop() == 0


def test_a_killed_admin_process_comes_back(node: Node) -> None:
    node.start_and_wait()
    os.kill(node.found("started", process="admin")["pid"], signal.SIGKILL)
    node.wait_for("started", process="admin", times=2)
    while status(f"{node.admin}/readyz") != (200, "ready\n"):
        pass


def test_no_process_outlives_its_parent(node: Node) -> None:
    node.start_and_wait()
    node.process.kill()
    # They hold the lock as long as one of them lives, and the log's pipe.
    node.wait_for_silence()
    node.start_and_wait()
    assert node.stop() == 0


def test_a_new_certificate_is_shown_after_sighup(node: Node, tmp_path: Path) -> None:
    node.start_and_wait()
    before = certificate_shown(node.port)
    for path in made_certificate(tmp_path / "renewed"):
        path.rename(node.data_dir / path.name)
    node.send(signal.SIGHUP)
    node.wait_for("certificate_renewed")
    assert certificate_shown(node.port) != before


def made_certificate(directory: Path) -> CertificatePaths:
    directory.mkdir()
    return ensure_self_signed(directory, "relay.test", datetime.now(UTC))


def certificate_shown(port: int) -> bytes:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=TRUSTING)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""


# --- what is told ----------------------------------------------------------------------------


def test_health_and_metrics_are_told(node: Node) -> None:
    node.start_and_wait()
    send(node, password_in(node.words))
    assert status(f"{node.admin}/livez") == (200, "ok\n")
    assert status(f"{node.admin}/readyz") == (200, "ready\n")
    code, metrics = status(f"{node.admin}/metrics")
    assert code == 200
    # Counted in the relay process, told by the admin process.
    assert 'relay_messages_accepted_total{origin="submission"} 1.0' in metrics


def test_counters_outlive_the_process_that_counts(node: Node) -> None:
    node.start_and_wait()
    send(node, password_in(node.words))
    os.kill(node.found("started", process="relay")["pid"], signal.SIGKILL)
    node.wait_for("started", process="relay", times=2)
    send(node, password_in(node.words))
    assert 'relay_messages_accepted_total{origin="submission"} 2.0' in status(f"{node.admin}/metrics")[1]
    assert 'relay_faults_total{where="child"} 1.0' in status(f"{node.admin}/metrics")[1]


def test_strangers_see_no_metrics(make_node: MakeNode) -> None:
    node = make_node(BASIC.replace("[log]", 'metrics_for = ["192.0.2.0/24"]\n[log]') + LISTENER)
    node.start_and_wait()
    assert status(f"{node.admin}/metrics")[0] == 403
    assert status(f"{node.admin}/livez")[0] == 200


# --- stopping --------------------------------------------------------------------------------


@contextmanager
def client_in_data(node: Node) -> Iterator[smtplib.SMTP]:
    """A client that has begun to send its message, and not ended."""
    with smtplib.SMTP("127.0.0.1", node.port, timeout=20) as client:
        client.starttls(context=TRUSTING)
        client.login("demo@relay.test", password_in(node.words))
        client.mail("demo@relay.test")
        client.rcpt("you@example.com")
        assert client.docmd("DATA")[0] == 354
        yield client
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order(node: Node, number: signal.Signals) -> None:
    node.start_and_wait()
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as idle:
        idle.recv(100)
        assert node.stop(number) == 0
        assert idle.recv(100).startswith(b"421 4.3.2 ")
    with pytest.raises(ConnectionRefusedError):
        greeting(node.port)
    steps = [event["step"] for event in node.events if event["event"] == "stopping"]
    assert "closed" in steps


def test_it_can_be_stopped_while_it_starts(node: Node) -> None:
    for _start in range(3):
        node.start()
        node.wait_for("started", process="relay")  # the admin process takes longer
        assert node.stop() == 0


def test_it_does_not_outlive_the_terminal_it_was_started_at(node: Node) -> None:
    ours, theirs = os.openpty()
    node.start(stderr=theirs)
    os.close(theirs)
    node.wait_for("started", process="supervisor")
    os.close(ours)
    assert node.stop(signal.SIGHUP) == 0


def test_while_a_message_arrives_the_stop_waits_and_the_balancer_is_told(node: Node) -> None:
    node.start_and_wait()
    with client_in_data(node) as client:
        node.send(signal.SIGTERM)
        node.wait_for("stopping", process="supervisor")
        assert status(f"{node.admin}/readyz") == (503, "draining\n")
        client.send(b"From: demo@relay.test\r\n\r\nJust in time\r\n.\r\n")
        assert client.getreply()[0] == 250
    assert node.wait() == 0


def test_the_grace_ends(make_node: MakeNode) -> None:
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
