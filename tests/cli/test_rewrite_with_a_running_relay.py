"""What is changed of mail, and what signs it, heard by a relay that runs and seen at its upstream."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, Run
from tests.delivery.office import eventually
from tests.kit.dkim import verdicts
from tests.kit.node import BASIC, LISTENER, Node
from tests.kit.upstream import FakeUpstream


@pytest.fixture
def node(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.delenv("RELAY_DATA_DIR")  # where it keeps its data stands in its configuration
    monkeypatch.delenv("RELAY_HOSTNAME")
    directory = tmp_path / "node"
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as lent:
        door = LISTENER.replace('"0"', str(lent.getsockname()[1]))
    node = Node(directory, BASIC + door)
    node.start_and_wait()
    yield node
    node.clean_up()


@pytest.fixture
def at(run: Run, node: Node) -> Run:
    """Run a command at that relay's own data."""

    def at(*words: str, typed: str = "") -> Answer:
        answer = run(*words, "--config", str(node.config), typed=typed)
        assert answer.code == 0, answer.err
        return answer

    return at


async def test_a_running_relay_changes_and_signs_what_it_sends(at: Run, tmp_path: Path) -> None:
    footer = tmp_path / "footer"
    footer.write_text("Relay Test Ltd, Köln", "utf-8")
    async with FakeUpstream() as upstream:

        def set_up() -> dict[str, str]:
            place = ("--host", "127.0.0.1", "--port", str(upstream.port), "--tls", "none")
            at("upstream", "add", "fake", *place, "--default", "--no-test")
            at("user", "add", "shop", "--sender", "relay.test")
            at("user", "rewrite", "shop", "--footer", str(footer))
            at("upstream", "rewrite", "fake", "--from-name", "The Relay", "--force")
            made = at("dkim", "add", "relay.test", "--algorithm", "both", "--now", "--json").document
            at("send-test", "--user", "shop", "--to", "bob@example.net")
            return {key["record"]["name"]: key["record"]["value"] for key in made}

        records = await asyncio.to_thread(set_up)
        await eventually(lambda: bool(upstream.taken))
        content = upstream.taken[0].content
    assert verdicts(content, records) == ["pass", "pass"]
    assert b"\r\nFrom: The Relay\r\n" in content
    assert b"Relay Test Ltd, K=C3=B6ln" in content
