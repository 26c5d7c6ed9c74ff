"""Testing an upstream: before it is saved, and any time after."""

from collections.abc import AsyncIterator

import pytest

from tests.cli.conftest import Answer, Command
from tests.kit.dns import fake_dns
from tests.kit.upstream import FakeUpstream

ADD = ("upstream", "add", "provider", "--host", "127.0.0.1", "--tls", "none")


@pytest.fixture
async def server() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream([*FakeUpstream().offers, "AUTH PLAIN"]) as server:
        yield server


@pytest.fixture
def add(relay: Command, server: FakeUpstream) -> Command:
    async def add(*options: str, typed: str = "") -> Answer:
        return await relay(*ADD, "--port", str(server.port), *options, typed=typed)

    return add


async def test_an_upstream_that_works_is_saved_with_what_was_found(add: Command, relay: Command) -> None:
    answer = await add("--username", "relay@example.com", "--password-stdin", typed="secret\n")
    assert answer.code == 0
    assert [line.split()[:2] for line in answer.out.splitlines()[1:6]] == [
        ["DNS", "ok"], ["connect", "ok"], ["banner", "ok"], ["EHLO", "ok"], ["AUTH", "ok"],
    ]  # fmt: skip
    shown = (await relay("upstream", "show", "provider", "--json")).document
    assert (shown["last_check"], shown["last_success_at"]) == ("success", None)
    assert shown["last_connected_at"] == shown["last_check_at"]
    assert shown["last_check_at"] is not None


async def test_one_that_does_not_is_not_saved_unless_asked_to(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    server.on("AUTH", "535 5.7.8 Wrong")
    login = ("--username", "relay@example.com", "--password-stdin")
    answer = await add(*login, typed="secret\n")
    assert answer.code == 69
    assert "535 5.7.8 Wrong" in answer.out
    assert "→" in answer.out
    assert "was not added" in answer.out
    document = (await add(*login, "--json", typed="secret\n")).document
    assert (document["is_good"], document["steps"][-1]["step"]) == (False, "AUTH")
    assert (await relay("upstream", "list", "--json")).document == []
    assert (await add(*login, "--no-test", typed="secret\n")).code == 0
    assert "secret" not in answer.out


async def test_no_server_is_asked_for_an_upstream_whose_name_is_taken(
    add: Command, server: FakeUpstream
) -> None:
    await add()
    connections = server.connections
    answer = await add("--username", "relay@example.com", "--password-stdin")
    assert (answer.code, 'There is an upstream "provider" already.' in answer.err) == (73, True)
    assert server.connections == connections > 0


async def test_a_test_is_remembered_whatever_its_end(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    await add()
    server.on("EHLO", "421 4.3.2 Closed")
    answer = await relay("upstream", "test", "provider")
    assert answer.code == 69
    assert "It failed at EHLO" in answer.out
    assert "421 4.3.2 Closed" in answer.out
    listed = (await relay("upstream", "list", "--json")).document[0]
    assert (listed["last_check"], "421 4.3.2 Closed" in listed["last_check_detail"]) == ("error", True)
    assert (await relay("doctor", "--json")).code in {0, 1}


async def test_an_upstream_is_tested_again_before_it_is_reached_otherwise(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    await add()
    answer = await relay("upstream", "edit", "provider", "--port", "1")
    assert (answer.code, '"provider" was not changed: It failed at connect' in answer.out) == (69, True)
    shown = (await relay("upstream", "show", "provider", "--json")).document
    assert (shown["port"], shown["tls"], shown["last_check"]) == (server.port, "none", "success")
    server.on("AUTH", "535 5.7.8 Wrong")
    login = ("upstream", "edit", "provider", "--username", "relay", "--password-stdin")
    assert "535 5.7.8 Wrong" in (await relay(*login, typed="wrong\n")).out
    server.on("AUTH", "235 2.7.0 Welcome")
    answer = await relay(*login, typed="right\n")
    assert (answer.code, "AUTH     ok" in answer.out) == (0, True)
    shown = (await relay("upstream", "show", "provider", "--json")).document
    assert (shown["username"], shown["last_check"]) == ("relay", "success")


async def test_what_was_found_before_is_forgotten_where_a_change_is_not_tested(
    add: Command, relay: Command
) -> None:
    await add()
    edit = ("upstream", "edit", "provider")
    assert (await relay(*edit, "--timeout", "5", "--json")).document["last_check"] == "success"
    changed = (await relay(*edit, "--port", "1", "--no-test", "--json")).document
    assert (changed["last_check"], changed["last_check_at"], changed["port"]) == (None, None, 1)
    assert (await relay(*edit, "--timeout", "6")).code == 0, "which needs no test"


async def test_a_message_is_sent_only_if_asked_for(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    await add("--sender", "relay@example.com")
    assert (await relay("upstream", "test", "provider")).code == 0
    assert server.taken == []
    answer = await relay("upstream", "test", "provider", "--send")
    assert answer.code == 0
    assert "The test message to relay@example.com was taken" in answer.out
    assert b"Subject: Test of an upstream\r\n" in server.taken[0].content
    assert (await relay("upstream", "show", "provider", "--json")).document["last_success_at"] is not None


async def test_what_was_not_asked_for_want_of_an_address_is_not_claimed(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    await add()
    server.on("MAIL", "550 5.7.1 Who are you?")
    answer = await relay("upstream", "test", "provider")
    assert (answer.code, "takes mail from us." in answer.out) == (0, False)
    assert "MAIL     –" in answer.out
    assert "whether it takes mail from us was not asked" in answer.out
    assert "→ Give one for this test with --address" in answer.out


async def test_an_address_that_is_refused_says_nothing_of_the_upstream(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    await add("--sender", "relay@example.com")
    server.on("RCPT", "550 5.1.1 No such user", matching="typo")
    answer = await relay("upstream", "test", "provider", "--address", "typo@example.net")
    assert (answer.code, "550 5.1.1 No such user" in answer.out) == (69, True)
    assert "That is about mail to typo@example.net only" in answer.out
    assert (await relay("upstream", "show", "provider", "--json")).document["last_check"] == "success"
    server.on("EHLO", "421 4.3.2 Closed")
    answer = await relay("upstream", "test", "provider", "--address", "typo@example.net")
    assert "That is about" not in answer.out
    assert (await relay("upstream", "show", "provider", "--json")).document["last_check"] == "error"


async def test_the_trouble_of_one_domain_is_not_that_of_direct_delivery(relay: Command) -> None:
    with fake_dns() as dns:
        add = ("upstream", "add", "direct", "--kind", "mx", "--resolver", dns.place)
        assert (await relay(*add)).code == 0
        answer = await relay("upstream", "test", "direct", "--address", "ann@nobody.example")
        assert (answer.code, "There is no domain nobody.example" in answer.out) == (69, True)
        assert "That is about mail to ann@nobody.example only" in answer.out
        assert (await relay("upstream", "test", "direct")).code == 0, "which has nowhere to go"
        assert (await relay("upstream", "show", "direct", "--json")).document["last_check"] is None


async def test_an_account_without_an_address_cannot_write_to_itself(
    add: Command, relay: Command, server: FakeUpstream
) -> None:
    await add()
    answer = await relay("upstream", "test", "provider", "--send")
    assert (answer.code, "--address" in answer.err) == (2, True)
    assert (await relay("upstream", "test", "provider", "--send", "--address", "me@example.com")).code == 0
    assert server.taken[0].rcpts == ["RCPT TO:<me@example.com>"]


async def test_nobody_there_is_told_with_what_to_do(relay: Command) -> None:
    answer = await relay(*ADD, "--port", "1")
    assert answer.code == 69
    assert "connect  failed" in answer.out
    answer = await relay(*ADD[:4], "nowhere.invalid")
    assert answer.code == 69
    assert "DNS   failed" in answer.out


async def test_a_sandbox_has_nothing_to_test(relay: Command) -> None:
    await relay("upstream", "add", "sandbox", "--kind", "sandbox")
    answer = await relay("upstream", "test", "sandbox")
    assert (answer.code, "nothing to connect to" in answer.out) == (0, True)
