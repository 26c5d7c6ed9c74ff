"""A node's start, as an operator sees it: real processes, real ports."""

import os
import re
import socket
import stat
import sysconfig
from pathlib import Path

import pytest

from tests.kit.node import BASIC, LISTENER, Node, greeting
from tests.service.conftest import MakeNode

LIBRARY = Path(sysconfig.get_path("stdlib"))
NOBODY_CAN_LOAD_US = all(path.stat().st_mode & 0o005 == 0o005 for path in (LIBRARY, *LIBRARY.parents))

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_the_demo_user_can_send_and_its_password_is_told_once(node: Node) -> None:
    node.start_and_wait()
    password = node.password
    node.send_hello()
    assert node.wait_for("message_accepted")["user"] == "demo@relay.test"
    node.wait_for("attempt_finished", disposition="delivered", upstream="sandbox")
    assert node.data_dir.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in node.data_dir.rglob("*"))
    assert node.stop() == 0
    node.start_and_wait()
    assert password not in node.words
    assert node.words.count("\n") == 1
    node.send_hello()


def test_a_node_lives_on_if_nobody_hears_its_greeting(node: Node) -> None:
    hearing, telling = os.pipe()
    os.close(hearing)
    node.start(stderr=telling)
    os.close(telling)
    node.wait_for("started", process="supervisor")
    assert node.ask("/readyz") == (200, "ready\n")
    assert node.stop() == 0


def test_keys_that_others_can_read_are_named(node: Node) -> None:
    node.start_and_wait()
    assert node.stop() == 0
    keys = {node.data_dir / "secret.key": "chmod 600", node.data_dir / "certificate.key": "chmod o="}
    for key in keys:
        key.chmod(0o644)
    node.start_and_wait()
    for times, (key, mend) in enumerate(keys.items(), start=1):
        sentence = f"{key} can be read by others (mode 644): {mend} {key}"
        assert node.wait_for("secret_exposed", times=times)["what_to_do"] == sentence
        assert f"Warning: {sentence}\n" in node.words
    assert node.stop() == 0


def test_one_process_is_a_node_too(node: Node) -> None:
    node.start_and_wait("--in-one-process")
    node.send_hello()
    assert node.ask("/readyz") == (200, "ready\n")
    assert "relay_messages_accepted_total" in node.ask("/metrics")[1]
    assert node.stop() == 0


def test_the_greeting_says_where_also_by_ipv6(make_node: MakeNode) -> None:
    node = make_node(BASIC.replace("127.0.0.1:0", "[::1]:0") + LISTENER.replace("127.0.0.1", "::1"))
    admin = node.start_and_wait()["admin"]
    assert re.fullmatch(r"\[::1\]:\d+", admin)
    assert f"http://{admin}" in node.words
    assert re.search(r"curl smtp://\[::1\]:\d+ ", node.words)
    assert node.ask("/readyz") == (200, "ready\n")


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
def test_root_opens_the_ports_and_becomes_somebody_else(make_node: MakeNode) -> None:
    node = make_node('user = "nobody"\n' + BASIC + LISTENER)
    for path in (node.directory, *node.directory.parents):
        if not path.stat().st_mode & stat.S_IXOTH:
            path.chmod(0o755)  # pytest closes its folders to others; an earlier test may have closed others
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


# --- what keeps it from starting -------------------------------------------------------------


def test_a_mistake_in_the_configuration_is_explained(make_node: MakeNode) -> None:
    node = make_node("data_dirr = 'x'\n" + BASIC + LISTENER)
    assert node.run_to_its_end() == os.EX_CONFIG
    assert 'unknown key "data_dirr"; did you mean "data_dir"?' in node.words
    assert "Traceback" not in node.words


def test_a_port_in_use_is_named(make_node: MakeNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        node = make_node(BASIC + LISTENER.replace('"0"', f'"{port}"'))
        assert node.run_to_its_end() == os.EX_CANTCREAT
    assert f'Port {port} (listener "submission") is already in use' in node.words


def test_a_database_that_does_not_answer_is_named_without_its_password(make_node: MakeNode) -> None:
    node = make_node(BASIC + '[database]\nurl = "postgresql://relay:hidden@127.0.0.1:1/relay"\n' + LISTENER)
    assert node.run_to_its_end() == os.EX_UNAVAILABLE
    assert "relay:***@127.0.0.1:1/relay" in node.words
    assert "hidden" not in node.words
