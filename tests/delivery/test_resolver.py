"""Asking DNS, at a name server that does what a test tells it; and judging the record of a key."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from dns.rcode import Rcode

from relay.delivery.dkim_check import Verdict, check_record
from relay.delivery.resolver import CannotAsk, Exchanger, NoSuchName, Resolver
from relay.mail.dkim import Algorithm
from relay.routing.dkim_keys import Key, State
from relay.routing.name_server import BadNameServer, NameServer
from tests.kit.dns import FakeDns, fake_dns

NAME = "r1._domainkey.example.com"
KEY = Key("example.com", "r1", Algorithm.RSA, State.NEW, b"\x01" * 294, b"", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    with fake_dns() as dns:
        yield dns


def resolver_at(dns: FakeDns) -> Resolver:
    return Resolver(NameServer("127.0.0.1", dns.port))


async def test_a_long_text_comes_in_strings_and_is_joined(dns: FakeDns) -> None:
    dns.texts[NAME] = ["v=DKIM1; p=" + "A" * 400]
    assert await resolver_at(dns).texts(NAME) == [dns.texts[NAME][0].encode()]
    assert dns.asked == [f"udp TXT {NAME}"]


async def test_an_answer_too_long_for_udp_is_asked_for_over_tcp(dns: FakeDns) -> None:
    dns.texts[NAME] = ["x" * 3000]
    dns.is_cut_off = True
    assert await resolver_at(dns).texts(NAME) == [b"x" * 3000]
    assert dns.asked == [f"udp TXT {NAME}", f"tcp TXT {NAME}"]


async def test_an_alias_is_followed(dns: FakeDns) -> None:
    dns.aliases |= {NAME: "key.provider.example", "example.org": "example.net"}
    dns.texts["key.provider.example"] = ["v=DKIM1; p=AAAA"]
    dns.has("example.net", "MX", "10 mx.example.net.")
    assert await resolver_at(dns).texts(NAME) == [b"v=DKIM1; p=AAAA"]
    assert await resolver_at(dns).exchangers("example.org") == [Exchanger(10, "mx.example.net")]


async def test_the_exchangers_of_a_domain_and_their_addresses(dns: FakeDns) -> None:
    dns.has("example.net", "MX", "20 MX2.example.net.", "10 mx1.example.net.")
    dns.has("none.example", "MX", "0 .")
    dns.has("mx1.example.net", "AAAA", "::1")
    dns.has("mx1.example.net", "A", *(f"127.0.0.{number}" for number in range(2, 9)))
    resolver = resolver_at(dns)
    assert sorted(await resolver.exchangers("example.net")) == [
        (10, "mx1.example.net"),
        (20, "mx2.example.net"),
    ]
    assert await resolver.exchangers("none.example") == [Exchanger(0, "")]
    assert await resolver.exchangers("mx1.example.net") == []
    found = await resolver.addresses("mx1.example.net")
    assert len(found) == 4, "a few of each family"
    assert found[-1] == "::1"


async def test_an_answer_is_kept_as_long_as_its_ttl_allows(dns: FakeDns) -> None:
    dns.has("example.net", "MX", "10 mx1.example.net.")
    dns.has("fresh.example", "MX", "10 mx1.example.net.")
    resolver = resolver_at(dns)
    for _ in range(2):
        await resolver.exchangers("example.net")
    dns.ttl = 0
    for _ in range(2):
        await resolver.exchangers("fresh.example")
    assert dns.asked == ["udp MX example.net", "udp MX fresh.example", "udp MX fresh.example"]


async def test_no_such_name_is_no_fault_of_the_resolver(dns: FakeDns) -> None:
    with pytest.raises(NoSuchName):
        await resolver_at(dns).texts(NAME)
    with pytest.raises(NoSuchName):
        await resolver_at(dns).addresses("nobody.example")


async def test_a_fault_of_the_resolver_says_nothing_of_the_name(dns: FakeDns) -> None:
    dns.fails(NAME, Rcode.SERVFAIL)
    with pytest.raises(CannotAsk, match="SERVFAIL"):
        await resolver_at(dns).texts(NAME)


async def test_one_family_of_addresses_is_enough(dns: FakeDns) -> None:
    dns.has("mx1.example.net", "AAAA")
    dns.has("mx1.example.net", "A", "127.0.0.2")
    assert await resolver_at(dns).addresses("mx1.example.net") == ["127.0.0.2"]


async def test_who_does_not_answer_is_not_waited_for_for_ever(dns: FakeDns) -> None:
    dns.fails(NAME, None)
    with pytest.raises(CannotAsk, match="in time"):
        await Resolver(NameServer("127.0.0.1", dns.port), seconds=0.1).texts(NAME)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example"])
async def test_what_is_no_name_is_not_asked_for(dns: FakeDns, name: str) -> None:
    with pytest.raises(NoSuchName):
        await resolver_at(dns).texts(name)
    assert dns.asked == []


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("dns.example.net", None),
        ("192.0.2.53:0", None),
        ("192.0.2.53:65536", None),
        ("", None),
    ],
)
def test_a_name_server_is_written_as_an_address(text: str, read: tuple[str, int] | None) -> None:
    if read is None:
        with pytest.raises(BadNameServer, match="give its IP address"):
            NameServer.parse(text)
    else:
        assert NameServer.parse(text) == read


# The record of a key --------------------------------------------------------------------------------


async def judged(dns: FakeDns) -> Verdict:
    return await check_record(KEY, resolver_at(dns))


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
async def test_the_record_of_a_key_is_judged(dns: FakeDns, texts: list[str], told: str) -> None:
    if texts:
        dns.texts[NAME] = texts
    verdict = await judged(dns)
    assert told in verdict.told
    assert verdict.is_good == ("there, and right" in told)


async def test_without_an_answer_nothing_is_judged() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    verdict = await check_record(KEY, Resolver(NameServer("127.0.0.1", port), seconds=0.2))
    assert not verdict.is_good
    assert "could not be asked" in verdict.told
