"""Checking an upstream: every step is told, with the time it took and what to do about it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import trustme
from cryptography.fernet import Fernet

from relay.delivery.check import check_upstream
from relay.delivery.classify import Step
from relay.delivery.findings import Report, is_named
from relay.delivery.hints import HINTS, hint_for
from relay.mail.address import Address
from relay.routing.options import Grant, OAuth, Options
from relay.routing.upstreams import Kind, Password, Tls
from relay.sealing import Sealer
from tests.delivery.makers import LETTER, direct_at, server_context, upstream_at
from tests.kit.dns import FakeDns, fake_dns
from tests.kit.upstream import ALL, FakeUpstream
from tests.kit.web import FakeWeb

SEALER = Sealer([Fernet.generate_key()])
ACCOUNT: dict[str, Any] = {"username": "ann@example.com", "password": Password(SEALER.seal("secret"), SEALER)}
WITH_AUTH = (*ALL, "AUTH PLAIN")


async def check(upstream: FakeUpstream, *, letter: bytes | None = None, **facts: Any) -> Report:
    return await check_upstream(upstream_at(upstream.port, **facts), hostname="relay.example", letter=letter)


def steps(report: Report) -> list[str]:
    ends = {True: "good", False: "bad", None: "not asked"}
    return [f"{finding.step.value} {ends[finding.is_good]}" for finding in report.findings]


async def test_every_step_to_a_good_upstream() -> None:
    authority = trustme.CA()
    async with FakeUpstream(WITH_AUTH, tls=server_context(authority, "127.0.0.1")) as upstream:
        pem = authority.cert_pem.bytes().decode()
        report = await check(upstream, tls=Tls.STARTTLS, pinned_ca=pem, **ACCOUNT)
        assert steps(report) == [
            "DNS good",
            "connect good",
            "banner good",
            "EHLO good",
            "TLS good",
            "AUTH good",
            "MAIL good",
            "RCPT good",
            "RSET good",
        ]
        assert report.is_good
        assert report.verdict == "next takes mail from us."
        tls = next(finding for finding in report.findings if finding.step is Step.TLS)
        assert "certificate for 127.0.0.1, by " in tls.detail
        assert all(finding.seconds >= 0 for finding in report.findings)
        assert upstream.transactions == []
        assert upstream.commands[-4:] == [
            "MAIL FROM:<ann@example.com> SIZE=0",
            "RCPT TO:<ann@example.com>",
            "RSET",
            "QUIT",
        ]


async def test_a_test_message_is_really_sent() -> None:
    async with FakeUpstream(WITH_AUTH) as upstream:
        report = await check(upstream, letter=LETTER, **ACCOUNT)
        assert report.verdict == "The test message to ann@example.com was taken: 250 2.0.0 Taken"
        assert upstream.taken[0].content == LETTER


async def test_without_an_address_of_its_own_nothing_is_offered() -> None:
    async with FakeUpstream() as upstream:
        report = await check(upstream)
        assert steps(report)[-2:] == ["EHLO good", "MAIL not asked"]
        assert report.is_good
        assert report.verdict == "next can be reached; whether it takes mail from us was not asked."
        assert "--address" in (report.findings[-1].hint or "")
        assert not any(command.startswith("MAIL") for command in upstream.commands)
        report = await check(upstream, sender_address=Address.parse("ann@example.com"))
        assert steps(report)[-1] == "RSET good"


async def test_it_ends_at_the_first_step_that_fails_and_says_what_to_do() -> None:
    async with FakeUpstream(WITH_AUTH) as upstream:
        upstream.on("AUTH", "535 5.7.8 Bad credentials")
        report = await check(upstream, **ACCOUNT)
        assert steps(report)[-1] == "AUTH bad"
        assert not report.is_good
        assert report.verdict.startswith(
            "It failed at AUTH: 451 4.7.8 The upstream does not accept our login"
        )
        assert report.findings[-1].hint is not None
        assert "user name and password" in report.findings[-1].hint
        assert "secret" not in repr(report)


async def test_a_refused_sender() -> None:
    async with FakeUpstream(WITH_AUTH) as upstream:
        upstream.on("MAIL", "553 5.7.1 Not your address")
        report = await check(upstream, **ACCOUNT)
        assert report.findings[-1].detail == "553 5.7.1 Not your address"
        assert "sender address" in (report.findings[-1].hint or "")


async def test_a_login_in_the_clear_works_with_a_warning() -> None:
    async with FakeUpstream(WITH_AUTH) as upstream:
        report = await check(upstream, **ACCOUNT)
        login = next(finding for finding in report.findings if finding.step is Step.AUTH)
        assert login.is_good
        assert "in the clear" in (login.hint or "")


async def test_tls_at_a_port_without_and_the_other_way_round() -> None:
    async with FakeUpstream() as upstream:
        report = await check(upstream, tls=Tls.IMPLICIT)
        assert "does not fit the port" in (report.findings[-1].hint or "")
    context = server_context(trustme.CA(), "127.0.0.1")
    async with FakeUpstream(tls=context, implicit_tls=True) as upstream:
        report = await check(upstream, timeout=timedelta(seconds=0.2))
        assert "implicit" in (report.findings[-1].hint or "")


async def test_the_sandbox_has_no_steps() -> None:
    report = await check_upstream(upstream_at(0, kind=Kind.SANDBOX), hostname="relay.example")
    assert report.is_good
    assert report.findings == ()


# Each domain's own servers --------------------------------------------------------------------------


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    """example.com has two exchangers; at the first nobody listens."""
    with fake_dns() as dns:
        dns.has("example.com", "MX", "10 mx1.example.com.", "20 mx2.example.com.")
        dns.has("mx1.example.com", "A", "127.0.0.2")
        dns.has("mx2.example.com", "A", "127.0.0.1")
        yield dns


async def check_direct(
    server: FakeUpstream, dns: FakeDns, whom: str | None = "ann@example.com", letter: bytes | None = None
) -> Report:
    upstream = direct_at(server.port, dns.place)
    address = Address.parse(whom) if whom else None
    return await check_upstream(upstream, hostname="relay.example", address=address, letter=letter)


async def test_the_way_to_the_first_server_of_a_domain_that_answers(dns: FakeDns) -> None:
    async with FakeUpstream(tls=server_context(trustme.CA(), "mx2.example.com")) as server:
        report = await check_direct(server, dns)
        assert steps(report) == [f"{step} good" for step in (
            "DNS", "DNS", "connect", "banner", "EHLO", "TLS", "MAIL", "RCPT", "RSET"
        )]  # fmt: skip
        assert report.findings[0].detail == (
            "mail for example.com goes to mx1.example.com, mx2.example.com; no MTA-STS policy"
        )
        assert "certificate for mx2.example.com, by " in report.findings[5].detail
        assert report.findings[5].hint is None
        assert server.transactions == []
        assert any(line.startswith("MAIL FROM:<> ") for line in server.commands)
        report = await check_direct(server, dns, letter=LETTER)
        assert report.verdict == "The test message to ann@example.com was taken: 250 2.0.0 Taken"


async def test_where_tls_does_not_work_it_says_that_mail_goes_in_the_clear(dns: FakeDns) -> None:
    async with FakeUpstream(tls=server_context(trustme.CA(), "mx2.example.com")) as server:
        server.on("STARTTLS", "454 4.7.0 Not now")
        report = await check_direct(server, dns)
        assert report.is_good
        tls = next(finding for finding in report.findings if finding.step is Step.TLS)
        assert tls.hint == "TLS does not work there, so mail goes in the clear."
        assert steps(report)[-1] == "RSET good"


async def test_where_nobody_answers_it_tells_the_last_that_was_tried(dns: FakeDns) -> None:
    async with FakeUpstream() as server:
        pass
    report = await check_direct(server, dns)
    assert steps(report) == ["DNS good", "DNS good", "connect bad"]
    assert "connection refused" in report.verdict
    dns.has("mx2.example.com", "A")
    assert steps(await check_direct(server, dns)) == ["DNS good", "DNS bad"]


async def test_a_domain_that_takes_no_mail(dns: FakeDns) -> None:
    async with FakeUpstream() as server:
        report = await check_direct(server, dns, "ann@nobody.example")
        assert report.verdict == "It failed at DNS: 550 5.1.2 There is no domain nobody.example in DNS"
        report = await check_direct(server, dns, None)
        assert report.is_good
        assert "--address" in report.verdict
        assert server.connections == 0


@pytest.mark.parametrize(
    ("step", "words", "port", "advice"),
    [
        (Step.CONNECT, "Cannot connect: no answer in time", 25, "block port 25"),
        (Step.CONNECT, "Cannot connect: no answer in time", 587, "firewall"),
        (Step.CONNECT, "Cannot connect: connection refused", 587, "Nobody listens"),
        (Step.BANNER, "The upstream does not greet us: no answer in time", 465, "TLS mode to implicit"),
        (Step.BANNER, "The upstream does not greet us: the connection was closed", 465, "to implicit"),
        (Step.DNS, "The host name cannot be resolved", 587, "spelling"),
        (Step.AUTH, "535 5.7.139 Authentication unsuccessful", 587, "Microsoft 365"),
        (Step.AUTH, "534 5.7.9 Application-specific password required", 587, "app password"),
        (Step.MAIL, "530 5.7.0 Must issue a STARTTLS command first", 587, "TLS mode"),
        (Step.MAIL, "530 5.7.0 Authentication required", 587, "wants a login"),
        (Step.RCPT, "550 5.1.1 No such user", 587, "does not take mail for this address"),
        (Step.RSET, "500 What", 587, ""),
    ],
)
def test_hints(step: Step, words: str, port: int, advice: str) -> None:
    assert advice in (hint_for(step, words, port) or "")


def test_every_hint_is_a_sentence() -> None:
    assert all(hint.advice.endswith(".") and hint.steps for hint in HINTS)


# Services over HTTP, and tokens ---------------------------------------------------------------------


async def test_every_step_to_a_service_with_the_facts_of_its_certificate() -> None:
    authority = trustme.CA()
    async with FakeWeb(tls=server_context(authority, "localhost", "*.example.com")) as web:
        web.on("POST /in", 204)
        pem = authority.cert_pem.bytes().decode()
        url = f"https://localhost:{web.port}/in"
        upstream = upstream_at(
            0,
            host="",
            kind=Kind.HTTP_RAW,
            options=Options(url=url),
            pinned_ca=pem,
            timeout=timedelta(seconds=9),
        )
        report = await check_upstream(upstream, hostname="relay.example")
        assert steps(report) == ["DNS good", "connect good", "TLS good", "AUTH good"]
        tls = report.findings[2].detail
        assert "certificate for localhost, *.example.com, by " in tls
        assert tls.endswith("the name fits")
        report = await check_upstream(replace(upstream, pinned_ca=None), hostname="relay.example")
        assert steps(report)[-1] == "TLS bad"
        assert "not trusted" in report.verdict


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
async def test_a_service_at_what_is_no_host_name(host: str) -> None:
    upstream = upstream_at(0, host="", kind=Kind.HTTP_RAW, options=Options(url=f"https://{host}/in"))
    report = await check_upstream(upstream, hostname="relay.example")
    assert steps(report) == ["DNS bad"]
    assert "The host name cannot be resolved" in report.verdict


async def test_a_token_that_cannot_be_had_ends_the_way_at_auth() -> None:
    async with FakeWeb() as web, FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        web.on("POST /token", 401, {"error": "invalid_client", "error_description": "Secret expired."})
        oauth = OAuth(Grant.CLIENT_CREDENTIALS, f"{web.url}/token", "app")
        report = await check(server, **ACCOUNT, options=Options(oauth=oauth))
        assert steps(report)[-1] == "AUTH bad"
        assert "invalid_client (Secret expired.)" in report.verdict
        assert "application's id and its secret" in (report.findings[-1].hint or "")


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("smtp.example.com", "SMTP.example.com.", True),
        ("*.example.com", "smtp.example.com", True),
        ("*.example.com", "a.smtp.example.com", False),
        ("*.example.com", "example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("example.com", "127.0.0.1", False),
    ],
)
def test_whether_a_name_fits(name: str, host: str, fits: bool) -> None:
    assert is_named(name, host) == fits
