"""Commands that speak with a relay that runs: a test message to its end, and the doctor's knock."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from relay.db import tables
from relay.db.engine import open_engine
from tests.cli.conftest import Answer, Run
from tests.kit.node import BASIC, Node


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as lent:
        return int(lent.getsockname()[1])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A relay with a port for STARTTLS and one for TLS, and the demo user of a first start."""
    doors = "".join(
        f'[[listeners]]\nname = "{tls}"\naddress = "127.0.0.1"\nports = {free_port()}\ntls = "{tls}"\n'
        for tls in ("starttls-required", "implicit")
    )
    node = Node(tmp_path_factory.mktemp("node"), BASIC + doors)
    node.start_and_wait()
    yield node
    node.clean_up()


@pytest.fixture(autouse=True)
def its_own_data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that relay keeps its data stands in its configuration."""
    monkeypatch.delenv("RELAY_DATA_DIR")
    monkeypatch.delenv("RELAY_HOSTNAME")


@pytest.fixture
def send(run: Run, node: Node) -> Run:
    """Run `relay send-test` to that relay."""

    def send(*options: str, typed: str = "") -> Answer:
        usual = ("--config", str(node.config), "--user", "demo@relay.test", "--to", "bob@example.net")
        return run("send-test", *usual, *options, typed=typed)

    return send


def test_a_test_message_is_sent_to_its_end_without_anybodys_password(send: Run, node: Node) -> None:
    answer = send("--json")
    assert answer.code == 0
    assert answer.document["is_finished"]
    assert answer.document["sender"] == "relay-test@relay.test"
    assert [one["state"] for one in answer.document["recipients"]] == ["delivered"]
    engine = open_engine(f"sqlite:///{node.data_dir / 'relay.db'}")
    with engine.connect() as tx:
        assert tx.execute(select(tables.credentials.c.name)).scalars().all() == ["default"]
    engine.dispose()


@pytest.mark.parametrize("tls", ["starttls-required", "implicit"])
def test_names_and_passwords_beyond_ascii_log_in_as_well(run: Run, node: Node, tls: str) -> None:
    user, password = f"jörg-{tls}", "schlüssel-größe"
    port = node.found("started", process="supervisor")["listeners"][tls]
    to_it = ("--config", str(node.config))
    assert run("user", "add", user, "--sender", "relay.test", *to_it).code == 0
    send = ("send-test", "--user", user, "--to", "bob@example.net", "--port", port, *to_it)
    assert run(*send).code == 0
    assert run("user", "password", user, "--password-stdin", *to_it, typed=password).code == 0
    assert run(*send, "--password-stdin", typed=password).code == 0
    assert "535" in run(*send, "--password-stdin", typed=password.upper()).err


def test_it_goes_by_implicit_tls_too_and_tells_the_story(send: Run, node: Node) -> None:
    port = node.found("started", process="supervisor")["listeners"]["implicit"]
    told = send("--port", port, "--from", "j\u00fcrgen@relay.test").out
    assert f"Taken by 127.0.0.1:{port}" in told
    assert "250 2.0.0 Kept in the sandbox" in told


@pytest.mark.parametrize(
    ("options", "typed", "code", "said"),
    [
        (("--from", "ann@example.com"), "", 1, "550 5.7.1"),
        (("--password-stdin",), "a wrong password\n", 1, "535 5.7.8"),
        (("--user", "nobody"), "", 1, "There is no user"),
        (("--to", "bob@@example.net"), "", 2, '"bob@@example.net" is no e-mail address'),
        (("--port", "1"), "", 69, "No relay answers at 127.0.0.1:1"),
        (("--host", "nowhere.invalid"), "", 69, "No relay answers at nowhere.invalid"),
    ],
)
def test_what_goes_wrong_is_told_in_the_relays_own_words(
    send: Run, options: tuple[str, ...], typed: str, code: int, said: str
) -> None:
    answer = send(*options, typed=typed)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_a_message_that_fails_behind_the_door_is_no_success(run: Run, send: Run, node: Node) -> None:
    config = ("--config", str(node.config))
    run("upstream", "add", "narrow", "--kind", "sandbox", *config)
    run("upstream", "limits", "narrow", "--largest", "100", *config)
    run("user", "add", "verbose", "--sender", "example.com", "--upstream", "narrow", *config)
    for _ in range(20):  # it is heard of within a second or so; what came before that is delivered
        answer = send("--user", "verbose")
        if answer.code != 0:
            break
    assert answer.code == 1
    assert "552 5.3.4 The message is larger than any upstream of its route may be given" in answer.out


def test_who_may_not_send_is_told_before_anything_is_sent(run: Run, node: Node) -> None:
    config = ("--config", str(node.config))
    run("user", "add", "mute", *config)
    run("user", "add", "off", "--sender", "example.com", "--inactive", *config)
    for user, said in (("mute", "may send as nobody"), ("off", "relay user enable off")):
        answer = run("send-test", "--user", user, "--to", "bob@example.net", *config)
        assert answer.code == 1
        assert said in answer.err


def test_a_change_is_heard_by_the_running_relay(run: Run, send: Run, node: Node) -> None:
    config = ("--config", str(node.config))
    run("user", "edit", "demo@relay.test", "--add-sender", "example.org", *config)
    assert send("--from", "ann@example.org").code == 0


def test_a_stopped_relay_accepts_mail_and_sends_it_when_it_is_started_again(
    run: Run, send: Run, node: Node
) -> None:
    config = ("--config", str(node.config))

    def delivery_of(message: str) -> Any:
        return run("message", "show", message, "--json", *config).document["deliveries"][0]

    run("queue", "stop", "--reason", "moving house", *config)
    for _ in range(20):  # it is heard of within a second or so; what came before that is delivered
        answer = send("--wait", "1", "--json")
        message = answer.document["id"]
        if delivery_of(message)["state"] == "queued":
            break
    assert answer.code == 75, "it is not delivered yet"
    assert delivery_of(message)["waiting"]["why"] == "stopped"
    assert "moving house" in run("queue", "list", *config).out
    run("queue", "start", *config)
    for _ in range(20):
        if delivery_of(message)["state"] == "done":
            break
        send("--json")  # to its end: that takes its time, too
    assert delivery_of(message)["state"] == "done"


def test_mail_of_a_user_who_was_stopped_and_deleted_moves(run: Run, node: Node) -> None:
    config = ("--config", str(node.config))
    run("user", "add", "ann", "--sender", "example.com", *config)
    run("queue", "stop", "--user", "ann", *config)
    for _ in range(20):  # it is heard of within a second or so; what came before that is delivered
        to_bob = ("--user", "ann", "--to", "bob@example.net", "--wait", "1")
        if (sent := run("send-test", *to_bob, "--json", *config)).code == 75:
            break
    assert sent.code == 75, "it is not delivered yet"
    run("user", "delete", "ann", "--yes", *config)
    node.wait_for("attempt_finished", delivery=f"{sent.document['id']}-1")


def test_the_doctor_knocks_at_the_doors(run: Run, node: Node) -> None:
    findings = run("doctor", "--json", "--config", str(node.config)).document["findings"]
    ports = [f for f in findings if f["about"].startswith("port")]
    assert [(f["verdict"], f["sentence"].endswith("answers")) for f in ports] == [("ok", True), ("ok", True)]


def test_a_second_relay_in_the_same_place_is_refused_in_a_sentence(
    run: Run, node: Node, tmp_path: Path
) -> None:
    second = Node(tmp_path, node.config.read_text().replace("{", "{{").replace("}", "}}"))
    assert second.run_to_its_end() == 73
    assert "Another relay is running" in second.words
    assert "Traceback" not in second.words
    second.clean_up()
