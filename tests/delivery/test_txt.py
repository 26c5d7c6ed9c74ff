"""Asking DNS for a key, at a name server that does what a test tells it."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.dkim_check import check_record
from relay.delivery.txt import CannotAsk, Resolver, _texts, look_up_txt, system_resolvers
from relay.mail.dkim import Algorithm
from relay.routing.dkim_keys import Key, State
from tests.kit.dns import FakeDns, fake_dns

NAME = "r1._domainkey.example.com"
KEY = Key("example.com", "r1", Algorithm.RSA, State.NEW, b"\x01" * 294, b"", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    with fake_dns() as dns:
        yield dns


def ask(dns: FakeDns, name: str = NAME) -> list[bytes]:
    return look_up_txt(name, [Resolver("127.0.0.1", dns.port)])


def test_a_long_text_comes_in_strings_and_is_joined(dns: FakeDns) -> None:
    dns.texts[NAME] = ["v=DKIM1; p=" + "A" * 400]
    assert ask(dns) == [dns.texts[NAME][0].encode()]
    assert dns.asked == [f"udp {NAME}"]


def test_an_answer_too_long_for_udp_is_asked_for_over_tcp(dns: FakeDns) -> None:
    dns.texts[NAME] = ["x" * 3000]
    dns.is_cut_off = True
    assert ask(dns) == [b"x" * 3000]
    assert dns.asked == [f"udp {NAME}", f"tcp {NAME}"]


def test_an_alias_is_followed_by_the_resolver(dns: FakeDns) -> None:
    dns.aliases[NAME] = "key.provider.example"
    dns.texts["key.provider.example"] = ["v=DKIM1; p=AAAA"]
    assert ask(dns) == [b"v=DKIM1; p=AAAA"]


def test_no_such_name_is_no_record(dns: FakeDns) -> None:
    assert ask(dns) == []


def test_a_fault_of_the_resolver_is_none_of_the_record(dns: FakeDns) -> None:
    dns.code = 2
    with pytest.raises(CannotAsk, match="error 2"):
        ask(dns)


def test_who_does_not_answer_is_passed_over_for_the_next(dns: FakeDns) -> None:
    dns.texts[NAME] = ["here"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        mute = Resolver("127.0.0.1", silent.getsockname()[1])
        assert look_up_txt(NAME, [mute, Resolver("127.0.0.1", dns.port)], seconds=0.05) == [b"here"]
        with pytest.raises(CannotAsk, match="timed out"):
            look_up_txt(NAME, [mute], seconds=0.05)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "ä.example"])
def test_what_is_no_name_is_not_asked_for(dns: FakeDns, name: str) -> None:
    with pytest.raises(CannotAsk):
        ask(dns, name)
    assert dns.asked == []


@given(st.binary(max_size=80))
def test_an_answer_that_is_none_is_no_fault_of_ours(answer: bytes) -> None:
    with suppress(ValueError, IndexError, struct.error):  # as look_up_txt expects
        _texts(b"\0\0\x81\x80" + answer + b"\0" * 8)


def test_this_machine_has_resolvers_or_none() -> None:
    assert all(resolver.host and resolver.port == 53 for resolver in system_resolvers())


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([KEY.record_text], "The record is there, and right."),
        ([KEY.record_text.replace("; ", ";")], "The record is there, and right."),
        ([], "no such record yet"),
        ([KEY.record_text, "v=DKIM1; p=AAAA"], "There are 2 TXT records"),
        (["v=DKIM1; k=rsa; p=AAAA"], "another key"),
        (["v=DKIM1; k=rsa; p="], "revokes"),
        ([KEY.record_text.replace("k=rsa", "k=ed25519")], "for ed25519, not rsa"),
        (["hello"], "not right"),
    ],
)
def test_the_record_of_a_key_is_judged(dns: FakeDns, texts: list[str], told: str) -> None:
    if texts:
        dns.texts[NAME] = texts
    verdict = check_record(KEY, f"127.0.0.1:{dns.port}")
    assert told in verdict.told
    assert verdict.is_good == ("there, and right" in told)


def test_without_an_answer_nothing_is_judged() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    verdict = check_record(replace(KEY, selector="x"), f"127.0.0.1:{port}")
    assert not verdict.is_good
    assert "could not be asked" in verdict.told
