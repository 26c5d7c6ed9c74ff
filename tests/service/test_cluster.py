"""Several processes, and several nodes, on one PostgreSQL."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.kit.node import BASIC, LISTENER
from tests.kit.postgres import Postgres
from tests.service.conftest import MakeNode


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database in which there is nothing yet."""
    with postgres.bare_database() as url:
        yield url.replace("postgresql+psycopg", "postgresql")


def on(url: str, *, node: str, processes: int, key: str = "{directory}/key") -> str:
    """The configuration of *node* with so many relay processes on the database at *url*."""
    head = f'secret_key_file = "{key}"\n' + BASIC.replace('node = "n"', f'node = "{node}"')
    head = head.replace("[processes]", f"[processes]\nrelay = {processes}")
    return f'{head}[database]\nurl = "{url}"\n{LISTENER}'


def test_a_node_runs_as_many_relay_processes_as_told(make_node: MakeNode, empty_url: str) -> None:
    node = make_node(on(empty_url, node="n", processes=2))
    node.start_and_wait()
    pids = [node.found("started", process="relay", owner=f"n/{index}")["pid"] for index in range(2)]
    # Whoever comes is served by the other one, or waits until this one is back.
    os.kill(pids[0], signal.SIGKILL)
    for _ in range(5):
        node.send_hello()
    node.wait_for("started", process="relay", owner="n/0", times=2)
    node.wait_for("attempt_finished", times=5, disposition="delivered")
    assert 'relay_messages_accepted_total{origin="submission"} 5.0' in node.ask("/metrics")[1]
    assert node.stop() == 0


def test_nodes_that_start_together_share_one_database(make_node: MakeNode, empty_url: str) -> None:
    first = make_node(on(empty_url, node="a", processes=1))
    second = make_node(on(empty_url, node="b", processes=1, key=f"{first.directory}/key"))
    nodes = (first, second)
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_for("started", process="supervisor")
    (told,) = [node for node in nodes if "password" in node.words]
    for node in nodes:
        node.uses_password(told.password)
        node.send_hello()
        node.wait_for("attempt_finished", disposition="delivered")
        assert node.ask("/readyz") == (200, "ready\n")
    assert [node.stop() for node in nodes] == [0, 0]
