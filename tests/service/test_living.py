"""A node while it runs: what dies comes back, and whoever asks is told."""

import contextlib
import os
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.certificates import ensure_self_signed
from tests.kit.node import BASIC, HELLO, LISTENER, ROOT, TRUSTING, Node
from tests.service.conftest import MakeNode


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for all of them: it has to bear it."""
    node = Node(tmp_path_factory.mktemp("running"), BASIC + LISTENER)
    node.start_and_wait()
    yield node
    assert node.stop() == 0
    node.clean_up()


def test_a_killed_relay_process_comes_back_and_counts_on(running: Node) -> None:
    for life in range(1, 4):
        relay = running.wait_for("started", process="relay", times=life)
        os.kill(relay["pid"], signal.SIGKILL)
        died = running.wait_for("child_died", process="relay-0", times=life)
        assert died["status"] == "killed by SIGKILL"
        # The port was open all the time: a client that comes now only waits.
        running.send_hello()
    code, metrics = running.ask("/metrics")
    assert code == 200
    # Counted by three relay processes and the parent, told by the admin process.
    assert 'relay_messages_accepted_total{origin="submission"} 3.0' in metrics
    assert 'relay_faults_total{where="child"} 3.0' in metrics


def test_a_relay_process_whose_scribe_is_killed_begins_anew(running: Node) -> None:
    before = running.found("started", process="relay")
    (scribe,) = children_of(before["pid"])
    os.kill(scribe, signal.SIGKILL)
    running.wait_for("child_died", process="relay-0", pid=before["pid"])
    running.send_hello()  # by its successor


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_counting_needs_no_more_of_the_disk_than_it_has(running: Node) -> None:
    # A write into a hole of a mapped file kills whoever writes, when the disk is full.
    running.send_hello()
    files = list((running.data_dir / "run" / "metrics").iterdir())
    assert {"counter_parent.db", "histogram_relay-0.db"} <= {file.name for file in files}
    assert [file.name for file in files if file.stat().st_blocks * 512 < file.stat().st_size] == []


COUNT_FOR_MANY = """
from relay import log
from relay.mail.disposition import Disposition
from relay.mail.reply import Reply
log.configure(style="json", level="error", node="n", process="relay-0")
for number in range(600):
    for disposition in Disposition:
        log.attempt_finished(
            delivery="1", number=1, upstream=f"{number:064}", seconds=1.0, disposition=disposition,
            recipients=1, reply=Reply(250, "0.0", "Ok"),
        )
"""


def test_nor_does_it_when_there_are_hundreds_of_upstreams(running: Node, tmp_path: Path) -> None:
    shutil.copytree(running.data_dir / "run" / "metrics", tmp_path, dirs_exist_ok=True)
    sizes = {file: file.stat().st_size for file in tmp_path.glob("*_relay-0.db")}
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", COUNT_FOR_MANY], cwd=ROOT, env=environment, check=True)
    assert {file: file.stat().st_size for file in sizes} == sizes, "none had to grow"
    assert b"0599" in (tmp_path / "histogram_relay-0.db").read_bytes()


def test_a_killed_admin_process_comes_back(running: Node) -> None:
    os.kill(running.found("started", process="admin")["pid"], signal.SIGKILL)
    running.wait_for("started", process="admin", times=2)
    assert running.ask("/livez") == (200, "ok\n")
    while running.ask("/readyz") != (200, "ready\n"):
        pass  # the parent tells it in a moment


def test_a_data_directory_that_goes_away_takes_no_mail_until_it_is_back(running: Node) -> None:
    running.send_hello()
    away = running.data_dir.with_name("away")
    with running.logged_in() as client:
        running.data_dir.rename(away)
        while (ready := running.ask("/readyz")) == (200, "ready\n"):
            pass  # what was seen of the disk a moment ago counts
        assert (ready[0], "not answer" in ready[1]) == (503, True)
        while (answer := client.mail("demo@relay.test"))[0] == 250:
            client.rset()
            running.ask("/livez")  # not to be told that it is too many commands
        assert (answer[0], client.mail("demo@relay.test")[0]) == (451, 451)
        away.rename(running.data_dir)
        while running.ask("/readyz") != (200, "ready\n"):
            pass
        client.sendmail("demo@relay.test", ["you@example.com"], HELLO)
    first, second = (running.wait_for("fault", where="door", times=times) for times in (1, 2))
    assert first["error"] == second["error"]
    assert ("traceback" in first, "traceback" in second) == (True, False), "once a minute is enough"


def test_only_one_relay_runs_in_a_data_directory(running: Node, make_node: MakeNode) -> None:
    second = make_node(running.config.read_text())
    assert second.run_to_its_end() == os.EX_CANTCREAT
    assert f"Another relay is running in {running.data_dir} (process {running.process.pid})" in second.words
    running.send_hello()


def test_a_new_certificate_is_shown_after_sighup(running: Node, tmp_path: Path) -> None:
    before = certificate_shown(running)
    for path in ensure_self_signed(tmp_path, "relay.test", datetime.now(UTC)):
        path.rename(running.data_dir / path.name)
    running.send(signal.SIGHUP)
    running.wait_for("certificate_renewed")
    assert certificate_shown(running) != before


def test_a_client_that_calls_a_name_beyond_ascii_is_told_of_in_the_log_alone(running: Node) -> None:
    with smtplib.SMTP("127.0.0.1", running.port) as client:
        client.ehlo()
        client.docmd("STARTTLS")
        assert client.sock is not None
        client.sock.sendall(client_hello(naming=b"caf\xe9.example.com"))
        assert client.sock.recv(1) == b"\x15", "an alert (RFC 8446 §5.1)"
        client.close()
    told = running.wait_for("library", logger="python")
    assert told["text"] == r"Exception ignored in: b'caf\xe9.example.com'"
    assert "UnicodeDecodeError" in told["traceback"]
    assert "Traceback" not in running.words


def client_hello(*, naming: bytes) -> bytes:
    """The first octets of a client that calls the server by a name that Python's own would not."""
    stand_in = "x" * len(naming)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        TRUSTING.wrap_bio(incoming, outgoing, server_hostname=stand_in).do_handshake()
    return outgoing.read().replace(stand_in.encode(), naming)


def certificate_shown(node: Node) -> bytes:
    with node.logged_in() as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""


def test_no_process_outlives_its_parent(node: Node) -> None:
    node.start_and_wait()
    node.process.kill()
    # They hold the lock as long as one of them lives, and the log's pipe.
    node.wait_for_silence()
    node.start_and_wait()
    assert node.stop() == 0
