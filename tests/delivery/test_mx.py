"""The way to a domain's own servers: which of them is spoken to, and how it is secured."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import trustme
from dns.rcode import Rcode

from relay.clock import SystemClock
from relay.delivery.classify import Scope, Trouble
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.transports.mx import MOST_HOSTS, Mx
from relay.mail.priority import Priority
from relay.routing.upstreams import Tls
from tests.delivery.makers import LETTER, direct_at, envelope_to, server_context
from tests.kit.clock import HandClock
from tests.kit.dns import FakeDns, fake_dns
from tests.kit.upstream import ALL, DROP, MUTE, FakeUpstream
from tests.kit.web import FakeWeb

DOMAIN, FIRST, SECOND = "example.net", "mx1.example.net", "mx2.example.net"
POLICY = f"version: STSv1\nmode: enforce\nmx: {FIRST}\nmax_age: 86400\n"
PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    """example.net has two exchangers, at 127.0.0.2 and 127.0.0.3."""
    with fake_dns() as dns:
        dns.has(DOMAIN, "MX", f"10 {FIRST}.", f"20 {SECOND}.")
        dns.has(FIRST, "A", "127.0.0.2")
        dns.has(SECOND, "A", "127.0.0.3")
        yield dns


@pytest.fixture
async def first() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream((*ALL, "REQUIRETLS"), host="127.0.0.2") as first:
        yield first


@pytest.fixture
async def second(first: FakeUpstream) -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream((*ALL, "REQUIRETLS"), host="127.0.0.3", port=first.port) as second:
        yield second


@pytest.fixture
async def web(dns: FakeDns, authority: trustme.CA) -> AsyncIterator[FakeWeb]:
    """The web server that the domain's policy comes from."""
    dns.texts[f"_mta-sts.{DOMAIN}"] = ["v=STSv1; id=1;"]
    dns.has(f"mta-sts.{DOMAIN}", "A", "127.0.0.1")
    async with FakeWeb(tls=server_context(authority, f"mta-sts.{DOMAIN}")) as web:
        publish(web, POLICY)
        yield web


def publish(web: FakeWeb, policy: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
    """From now on it answers so to whoever asks for the policy."""
    headers = PLAIN_TEXT if headers is None else headers
    web.on("GET /.well-known/mta-sts.txt", status, policy.encode(), headers=headers)


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


class Road:
    """The transport under test, with a clock to turn."""

    def __init__(self, dns: FakeDns, server: FakeUpstream, web: FakeWeb | None = None, **facts: Any) -> None:
        self.clock = HandClock()
        self.mx = Mx(
            direct_at(server.port, dns.place, **facts),
            "relay.example",
            OwnTokens(SystemClock()),
            clock=self.clock,
            rng=Random(1),
            https_port=web.port if web else 1,
        )

    async def send(self, domain: str = DOMAIN, **more: Any) -> tuple[str, str | None, str]:
        """Send one message; what host took it, by what TLS, and what was said."""
        connection = await self.mx.connect(domain)
        answers = await connection.deliver(envelope_to(f"bob@{DOMAIN}", **more), LETTER, Priority.NORMAL)
        await connection.close()
        return connection.remote, connection.tls, str(answers.replies[1])

    async def trouble(self, domain: str = DOMAIN) -> str:
        with pytest.raises(Trouble) as found:
            await self.mx.connect(domain)
        assert found.value.scope is Scope.MESSAGE, "no other domain suffers for it"
        return str(found.value.reply)


# Which host -----------------------------------------------------------------------------------------


async def test_the_preferred_host_is_told_with_its_address(
    dns: FakeDns, first: FakeUpstream, second: FakeUpstream
) -> None:
    remote, tls, said = await Road(dns, first).send()
    assert (remote, tls) == (f"{FIRST} [127.0.0.2]:{first.port}", None)
    assert said == "250 2.0.0 Taken"
    assert len(first.taken) == 1
    assert second.connections == 0


@pytest.mark.parametrize("greeting", ["554 No mail from you", "421 4.3.2 Not now", DROP, MUTE])
async def test_the_next_one_is_tried_where_the_first_does_not_work(
    dns: FakeDns, first: FakeUpstream, second: FakeUpstream, greeting: Any
) -> None:
    first.on("CONNECT", greeting)
    remote, _, _ = await Road(dns, first, timeout=timedelta(seconds=0.3)).send()
    assert remote.startswith(SECOND)
    assert len(second.taken) == 1


async def test_a_host_that_failed_is_left_alone_for_a_while(
    dns: FakeDns, first: FakeUpstream, second: FakeUpstream
) -> None:
    first.on("CONNECT", "421 4.3.2 Not now")
    road = Road(dns, first)
    for _ in range(3):
        await road.send()
    assert first.connections == 1
    road.clock.turn(timedelta(seconds=20))
    await road.send()
    assert first.connections == 2
    first.rules.clear()
    road.clock.turn(timedelta(minutes=1))
    assert (await road.send())[0].startswith(FIRST)


async def test_where_all_fail_mail_is_told_so_at_once(dns: FakeDns, first: FakeUpstream) -> None:
    first.on("CONNECT", "421 4.3.2 Not now")
    road = Road(dns, first)
    refused = f"451 4.4.1 {SECOND}: Cannot connect: connection refused"
    assert await road.trouble() == refused
    assert await road.trouble() == refused
    assert first.connections == 1


async def test_of_many_only_some_are_tried_for_one_message_and_the_next_goes_on_behind_them(
    dns: FakeDns, second: FakeUpstream
) -> None:
    many = [f"{number} host{number}.example.net." for number in range(MOST_HOSTS)]
    dns.has(DOMAIN, "MX", *many, f"20 {SECOND}.")
    for number in range(MOST_HOSTS):
        dns.has(f"host{number}.example.net", "A", "127.0.0.9")
    road = Road(dns, second)
    assert "host4.example.net" in await road.trouble()
    assert second.connections == 0
    assert (await road.send())[0].startswith(SECOND)


async def test_an_exchanger_without_an_address_is_passed_over(
    dns: FakeDns, first: FakeUpstream, second: FakeUpstream
) -> None:
    del dns.records[FIRST, "A"]
    assert (await Road(dns, first).send())[0].startswith(SECOND)
    dns.fails(SECOND, Rcode.SERVFAIL)
    assert "SERVFAIL" in await Road(dns, first).trouble()


async def test_an_address_literal(dns: FakeDns, first: FakeUpstream) -> None:
    remote, _, _ = await Road(dns, first).send("[127.0.0.2]")
    assert remote == f"127.0.0.2 [127.0.0.2]:{first.port}"
    assert dns.asked == []


async def test_a_name_server_that_is_away_altogether_is_the_trouble_of_all(
    dns: FakeDns, first: FakeUpstream
) -> None:
    dns.fails("broken.example", Rcode.SERVFAIL)
    road = Road(dns, first)
    assert "SERVFAIL" in await road.trouble("broken.example")
    assert dns.asked[-1] == "udp NS ."
    dns.fails(".", Rcode.SERVFAIL)
    with pytest.raises(Trouble) as found:
        await road.mx.connect("broken.example")
    assert found.value.scope is Scope.UPSTREAM


# Opportunistic TLS ----------------------------------------------------------------------------------


async def test_tls_is_used_where_it_is_offered_whoever_made_the_certificate(
    dns: FakeDns, first: FakeUpstream, authority: trustme.CA
) -> None:
    first.tls = server_context(authority, "other.test")
    _, tls, _ = await Road(dns, first).send()
    assert (tls or "").startswith("TLSv1.3 ")


@pytest.mark.parametrize("answer", ["454 4.7.0 Not available", "500 What?", DROP, MUTE])
async def test_where_tls_fails_mail_goes_in_the_clear_over_a_new_connection(
    dns: FakeDns, first: FakeUpstream, authority: trustme.CA, answer: Any
) -> None:
    first.tls = server_context(authority, FIRST)
    first.on("STARTTLS", answer)
    _, tls, said = await Road(dns, first, timeout=timedelta(seconds=0.5)).send()
    assert (tls, said) == (None, "250 2.0.0 Taken")
    assert first.connections == 2


async def test_a_handshake_that_fails_is_no_reason_to_keep_the_mail(
    dns: FakeDns, first: FakeUpstream
) -> None:
    first.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate at all
    _, tls, said = await Road(dns, first).send()
    assert (tls, said) == (None, "250 2.0.0 Taken")


async def test_where_the_operator_demands_tls_it_is_that_or_nothing(
    dns: FakeDns, first: FakeUpstream, authority: trustme.CA
) -> None:
    del dns.records[SECOND, "A"]
    assert "does not offer STARTTLS" in await Road(dns, first, tls=Tls.STARTTLS, verify_tls=False).trouble(
        "[127.0.0.2]"
    )
    first.tls = server_context(authority, FIRST)
    facts: dict[str, Any] = {"tls": Tls.STARTTLS, "pinned_ca": pem(authority)}
    assert (await Road(dns, first, **facts).send())[1] is not None
    facts = {"tls": Tls.STARTTLS, "pinned_ca": pem(trustme.CA())}
    assert "None of the mail exchangers" in await Road(dns, first, **facts).trouble()
    dns.has(DOMAIN, "MX", f"10 {FIRST}.")
    assert "not trusted" in await Road(dns, first, **facts).trouble()
    assert (await Road(dns, first, tls=Tls.NONE).send())[1] is None


# MTA-STS --------------------------------------------------------------------------------------------


async def test_an_enforced_policy_brings_mail_to_its_own_hosts_by_verified_tls(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA
) -> None:
    first.tls = server_context(authority, FIRST)
    _, tls, said = await Road(dns, first, web, pinned_ca=pem(authority)).send(require_tls=True)
    assert (tls or "").startswith("TLSv1.3 ")
    assert said == "250 2.0.0 Taken"
    assert first.taken[0].mail.endswith(" REQUIRETLS")
    assert web.asked[0].headers["host"] == f"mta-sts.{DOMAIN}"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (None, "451 4.7.5 mx1.example.net: TLS cannot be set up: the upstream does not offer STARTTLS"),
        (("other.test",), "451 4.7.5 mx1.example.net: TLS cannot be set up: the certificate is not trusted"),
    ],
)
async def test_without_that_it_gets_no_mail(
    dns: FakeDns,
    first: FakeUpstream,
    second: FakeUpstream,
    web: FakeWeb,
    authority: trustme.CA,
    names: tuple[str, ...] | None,
    told: str,
) -> None:
    if names:
        first.tls = server_context(authority, *names)
    said = await Road(dns, first, web, pinned_ca=pem(authority)).trouble()
    assert said.startswith(told)
    assert "the MTA-STS policy of example.net wants TLS" in said
    assert second.connections == 0, "it is not named"
    assert first.transactions == []


async def test_a_policy_that_names_one_of_many_exchangers(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA
) -> None:
    others = [f"5 host{number}.elsewhere.example." for number in range(2 * MOST_HOSTS)]
    dns.has(DOMAIN, "MX", *others, f"10 {FIRST}.")
    first.tls = server_context(authority, FIRST)
    assert (await Road(dns, first, web, pinned_ca=pem(authority)).send())[0].startswith(FIRST)


async def test_a_policy_that_names_none_of_the_exchangers(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA
) -> None:
    publish(web, POLICY.replace(FIRST, "*.example.org"))
    said = await Road(dns, first, web, pinned_ca=pem(authority)).trouble()
    assert said.startswith("451 4.7.0 The MTA-STS policy of example.net")
    assert first.connections == 0


@pytest.mark.parametrize("mode", ["testing", "none"])
async def test_a_policy_that_is_not_to_be_enforced(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA, mode: str
) -> None:
    publish(web, POLICY.replace("enforce", mode).replace(FIRST, "mx.elsewhere.example"))
    road = Road(dns, first, web, pinned_ca=pem(authority))
    assert (await road.send())[2] == "250 2.0.0 Taken"
    assert "5.7.30" in (await road.send(require_tls=True))[2]


async def test_a_policy_holds_as_long_as_it_says_also_if_dns_denies_it(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA
) -> None:
    dns.ttl = 0
    road = Road(dns, first, web, pinned_ca=pem(authority))
    assert "MTA-STS" in await road.trouble()
    assert "MTA-STS" in await road.trouble()
    del dns.texts[f"_mta-sts.{DOMAIN}"]
    assert "MTA-STS" in await road.trouble()
    assert len(web.asked) == 1
    road.clock.turn(timedelta(days=1))
    assert (await road.send())[1] is None


async def test_a_new_policy_is_fetched_when_dns_says_so_and_the_old_one_holds_until_it_is_there(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA
) -> None:
    dns.ttl = 0
    road = Road(dns, first, web, pinned_ca=pem(authority))
    await road.trouble()
    dns.texts[f"_mta-sts.{DOMAIN}"] = ["v=STSv1; id=2;"]
    publish(web, "", 503)
    for _ in range(2):
        assert "MTA-STS" in await road.trouble()
    assert len(web.asked) == 2, "it is not asked for again at once"
    publish(web, POLICY.replace("enforce", "none"))
    road.clock.turn(timedelta(minutes=5))
    await road.send()
    await road.send()
    assert len(web.asked) == 3


@pytest.mark.parametrize(
    ("policy", "status", "headers"),
    [
        (POLICY, 404, None),
        (POLICY, 301, {"Location": "https://127.0.0.1/"}),
        (POLICY, 200, {"Content-Type": "text/html"}),
        ("<html>", 200, None),
        (POLICY + "x: y\n" * 20_000, 200, None),
        ("", 0, None),
    ],
)
async def test_what_cannot_be_had_is_no_policy(
    dns: FakeDns,
    first: FakeUpstream,
    web: FakeWeb,
    authority: trustme.CA,
    policy: str,
    status: int,
    headers: dict[str, str] | None,
) -> None:
    publish(web, policy, status, headers)
    road = Road(dns, first, web, pinned_ca=pem(authority))
    assert (await road.send())[1] is None
    await road.send()
    assert len(web.asked) == 1


async def test_a_policy_is_believed_only_from_whom_it_names(
    dns: FakeDns, first: FakeUpstream, web: FakeWeb, authority: trustme.CA
) -> None:
    assert (await Road(dns, first, web, pinned_ca=pem(trustme.CA())).send())[1] is None
    dns.texts["_mta-sts.example.org"] = ["v=STSv1; id=1;"]
    dns.has("example.org", "MX", f"10 {FIRST}.")
    dns.has("mta-sts.example.org", "A", "127.0.0.1")
    assert (await Road(dns, first, web, pinned_ca=pem(authority)).send("example.org"))[1] is None
    assert web.asked == []


async def test_connections_at_the_same_time(dns: FakeDns, first: FakeUpstream) -> None:
    road = Road(dns, first)
    first.on("CONNECT", "421 4.3.2 Not now")
    await asyncio.gather(*(road.trouble() for _ in range(4)))
    road.clock.turn(timedelta(seconds=20))
    first.rules.clear()
    assert (await road.send())[0].startswith(FIRST), "one failure, not four"
