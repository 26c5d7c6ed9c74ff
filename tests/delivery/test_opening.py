"""Opening a connection: secured as configured or not at all; every fault is the upstream's, told in words."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from relay.clock import SystemClock
from relay.delivery.classify import Scope, Step, Trouble
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.transports.pipeline import Pipeline
from relay.delivery.transports.smtp import Opening, Smtp
from relay.delivery.transports.trust import Trust
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.upstreams import Password, Tls
from relay.sealing import Sealer
from tests.delivery.makers import LETTER, envelope_to, server_context, upstream_at
from tests.kit.upstream import ALL, DROP, MUTE, FakeUpstream

SEALER = Sealer([Fernet.generate_key()])
PASSWORD = Password(SEALER.seal("pässword"), SEALER)
WITH_AUTH = ("PIPELINING", "AUTH LOGIN PLAIN")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


async def connect(upstream: FakeUpstream, **facts: Any) -> Pipeline:
    return await Smtp(
        upstream_at(upstream.port, **facts), "relay.example", OwnTokens(SystemClock())
    ).connect()


async def trouble(upstream: FakeUpstream, **facts: Any) -> Trouble:
    with pytest.raises(Trouble) as found:
        await connect(upstream, **facts)
    assert found.value.scope is Scope.UPSTREAM
    assert 400 <= found.value.reply.code < 500, "mail waits until the configuration is right"
    await asyncio.sleep(0)
    return found.value


async def deliver_one(connection: Pipeline) -> None:
    answers = await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)
    assert answers.replies[1].is_success
    await connection.close()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
async def test_a_pinned_authority_is_believed(authority: trustme.CA, tls: Tls) -> None:
    context = server_context(authority, "127.0.0.1")
    async with FakeUpstream(tls=context, implicit_tls=tls is Tls.IMPLICIT) as upstream:
        connection = await connect(upstream, tls=tls, pinned_ca=pem(authority))
        assert connection.tls is not None
        assert connection.tls.startswith("TLSv1.3 TLS_")
        await deliver_one(connection)
        assert upstream.taken[0].content == LETTER


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize("is_verified", [True, False])
async def test_what_needs_tls_all_the_way_goes_only_where_the_certificate_was_verified(
    authority: trustme.CA, tls: Tls, is_verified: bool
) -> None:
    context, offers = server_context(authority, "127.0.0.1"), (*ALL, "REQUIRETLS")
    async with FakeUpstream(offers, tls=context, implicit_tls=tls is Tls.IMPLICIT) as upstream:
        connection = await connect(upstream, tls=tls, pinned_ca=pem(authority), verify_tls=is_verified)
        answers = await connection.deliver(envelope_to("bob", require_tls=True), LETTER, Priority.NORMAL)
        await connection.close()
    if is_verified:
        assert upstream.taken[0].mail.endswith(" REQUIRETLS")
    else:
        assert upstream.taken == []
        assert answers.replies[1].status == "5.7.30"


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DOT"])
async def test_what_cannot_go_on_by_tls_all_the_way_is_refused_for_itself_alone(
    authority: trustme.CA, moment: str
) -> None:
    context, offers = server_context(authority, "127.0.0.1"), (*ALL, "REQUIRETLS")
    async with FakeUpstream(offers, tls=context) as upstream:
        upstream.on(moment, "550 5.7.30 REQUIRETLS support required", times=1)
        connection = await connect(upstream, tls=Tls.STARTTLS, pinned_ca=pem(authority))
        answers = await connection.deliver(envelope_to("bob", require_tls=True), LETTER, Priority.NORMAL)
        assert answers.replies[1] == Reply(550, "7.30", "REQUIRETLS support required")
        assert answers.trouble is None
        await deliver_one(connection)


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
async def test_an_unknown_authority_is_not(authority: trustme.CA, tls: Tls) -> None:
    context = server_context(authority, "127.0.0.1")
    async with FakeUpstream(tls=context, implicit_tls=tls is Tls.IMPLICIT) as upstream:
        fault = await trouble(upstream, tls=tls)
        assert fault.step is Step.TLS
        assert fault.reply.enhanced == "7.5"
        assert "the certificate is not trusted" in fault.reply.text
        assert not any(line.startswith("MAIL") for line in upstream.commands)


async def test_the_name_must_be_the_certificates(authority: trustme.CA) -> None:
    async with FakeUpstream(tls=server_context(authority, "other.test")) as upstream:
        fault = await trouble(upstream, tls=Tls.STARTTLS, pinned_ca=pem(authority))
        assert "IP address mismatch" in fault.reply.text


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
async def test_a_name_that_ends_with_the_dot_of_the_root_is_the_certificates(
    authority: trustme.CA, tls: Tls
) -> None:
    context = server_context(authority, "smtp.example.net")
    async with FakeUpstream(tls=context, implicit_tls=tls is Tls.IMPLICIT) as upstream:
        facts = upstream_at(upstream.port, host="smtp.example.net.", tls=tls, pinned_ca=pem(authority))
        trust, tokens = Trust(facts), OwnTokens(SystemClock())
        await deliver_one(await Opening(facts, "relay.example", trust, tokens, ["127.0.0.1"]).to_the_end())


async def test_without_verification_a_pinned_authority_still_counts_but_not_the_name(
    authority: trustme.CA,
) -> None:
    async with FakeUpstream(tls=server_context(authority, "other.test")) as upstream:
        await deliver_one(
            await connect(upstream, tls=Tls.STARTTLS, verify_tls=False, pinned_ca=pem(authority))
        )
        other = pem(trustme.CA())
        assert (await trouble(upstream, tls=Tls.STARTTLS, verify_tls=False, pinned_ca=other)).step is Step.TLS


async def test_without_verification_anybody_is_believed(authority: trustme.CA) -> None:
    async with FakeUpstream(tls=server_context(authority, "other.test")) as upstream:
        await deliver_one(await connect(upstream, tls=Tls.STARTTLS, verify_tls=False))


async def test_the_servers_own_certificate_may_be_pinned(authority: trustme.CA) -> None:
    leaf = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    async with FakeUpstream(tls=context) as upstream:
        pinned = leaf.cert_chain_pems[0].bytes().decode()
        await deliver_one(await connect(upstream, tls=Tls.STARTTLS, pinned_ca=pinned))


def as_a_small_authority_issues(authority: trustme.CA, path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that does not name the key of *authority* that signed it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
    )
    signer = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    pieces = (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        leaf.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM),
    )
    path.write_bytes(b"".join(pieces))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_pinned_authority_need_not_keep_to_all_of_rfc_5280(
    authority: trustme.CA, tmp_path: Path
) -> None:
    async with FakeUpstream(tls=as_a_small_authority_issues(authority, tmp_path / "pem")) as upstream:
        await deliver_one(await connect(upstream, tls=Tls.STARTTLS, pinned_ca=pem(authority)))


async def test_an_upstream_without_starttls_gets_no_mail_in_the_clear() -> None:
    async with FakeUpstream() as upstream:
        fault = await trouble(upstream, tls=Tls.STARTTLS)
        assert fault.step is Step.TLS
        assert "does not offer STARTTLS" in fault.reply.text


async def test_what_was_said_before_the_handshake_is_forgotten(authority: trustme.CA) -> None:
    async with FakeUpstream(tls=server_context(authority, "127.0.0.1")) as upstream:
        upstream.on("STARTTLS", b"220 2.0.0 Go ahead\r\n250 injected\r\n")
        connection = await connect(upstream, tls=Tls.STARTTLS, pinned_ca=pem(authority))
        assert connection.is_usable
        await deliver_one(connection)
    assert [line.split()[0] for line in upstream.commands[:3]] == ["EHLO", "STARTTLS", "EHLO"]


async def test_a_large_letter_goes_through_tls(authority: trustme.CA) -> None:
    content = b"Subject: large\r\n\r\n" + b"." * 70 + b"\r\n" + (b"x" * 76 + b"\r\n") * 40_000
    async with FakeUpstream(tls=server_context(authority, "127.0.0.1")) as upstream:
        connection = await connect(upstream, tls=Tls.STARTTLS, pinned_ca=pem(authority))
        answers = await connection.deliver(envelope_to("bob"), content, Priority.NORMAL)
        assert answers.replies[1].is_success
        assert upstream.taken[0].content == content
        await connection.close()


async def test_tls_where_there_is_none_and_none_where_there_is(authority: trustme.CA) -> None:
    async with FakeUpstream() as upstream:
        assert (await trouble(upstream, tls=Tls.IMPLICIT)).step is Step.TLS
    async with FakeUpstream(tls=server_context(authority, "127.0.0.1"), implicit_tls=True) as upstream:
        assert (await trouble(upstream, timeout=timedelta(seconds=0.2))).step is Step.BANNER


# --- login ----------------------------------------------------------------------------------------


async def test_login_prefers_plain_and_reveals_the_password_only_there() -> None:
    async with FakeUpstream(WITH_AUTH) as upstream:
        connection = await connect(upstream, username="ann", password=PASSWORD)
        await deliver_one(connection)
        assert upstream.taken[0].login == "\0ann\0pässword"


async def test_a_refused_login_is_tried_once_and_told() -> None:
    async with FakeUpstream(WITH_AUTH) as upstream:
        upstream.on("AUTH", "535 5.7.8 Bad credentials")
        fault = await trouble(upstream, username="ann", password=PASSWORD)
        assert str(fault.reply) == (
            "451 4.7.8 The upstream does not accept our login: 535 5.7.8 Bad credentials"
        )
        assert [line for line in upstream.commands if line.startswith("AUTH")] == [
            "AUTH PLAIN " + base64.b64encode("\0ann\0pässword".encode()).decode()
        ]


async def test_a_login_that_cannot_be_made() -> None:
    async with FakeUpstream(("AUTH XOAUTH2",)) as upstream:
        assert "XOAUTH2" in (await trouble(upstream, username="ann", password=PASSWORD)).reply.text
    async with FakeUpstream(WITH_AUTH) as upstream:
        lost = Password(PASSWORD.sealed, Sealer([Fernet.generate_key()]))
        assert "cannot be opened" in (await trouble(upstream, username="ann", password=lost)).reply.text


async def test_whatever_octets_an_upstream_offers_can_be_shown_and_kept() -> None:
    async with FakeUpstream() as upstream:
        upstream.on("EHLO", b"250-upstream.test\r\n250 AUTH A\0B C\xffD \x1b[31m\r\n")
        text = (await trouble(upstream, username="ann", password=PASSWORD)).reply.text
    assert text.isprintable()
    assert "offered: A?B, C?D, ?[31M" in text


# --- greeting -------------------------------------------------------------------------------------


async def test_helo_to_whoever_refuses_ehlo() -> None:
    async with FakeUpstream() as upstream:
        upstream.on("EHLO", "502 5.5.1 What?")
        await deliver_one(await connect(upstream))
        verbs = [line.split()[0] for line in upstream.commands]
        assert verbs == ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT"]
        assert upstream.taken[0].mail == "MAIL FROM:<ann@example.com>"


@pytest.mark.parametrize(
    "greeting", ["421 4.3.2 Too busy", "554 No mail here", "220-mail\r\n", "hello", DROP, MUTE]
)
async def test_an_upstream_that_does_not_greet_us(greeting: Any) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("CONNECT", greeting)
        fault = await trouble(upstream, timeout=timedelta(seconds=0.2))
        assert fault.step is Step.BANNER


@pytest.mark.parametrize("answer", ["421 4.3.2 Closing", "451 4.3.0 Later", DROP])
async def test_an_upstream_that_refuses_both_ehlo_and_helo(answer: Any) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("EHLO", answer)
        upstream.on("HELO", answer)
        assert (await trouble(upstream)).step is Step.EHLO


# --- the network ----------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    upstream = FakeUpstream()
    async with upstream:
        pass
    fault = await trouble(upstream)
    assert fault.step is Step.CONNECT
    assert str(fault.reply) == "451 4.4.1 Cannot connect: connection refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".test", "\x00"])
async def test_there_is_no_such_host(host: str) -> None:
    async with FakeUpstream() as upstream:
        fault = await trouble(upstream, host=host)
        assert fault.step is Step.DNS
        assert fault.reply.enhanced == "4.3"


async def test_a_pinned_certificate_that_is_none() -> None:
    async with FakeUpstream() as upstream:
        assert (await trouble(upstream, tls=Tls.STARTTLS, pinned_ca="not PEM")).step is Step.TLS
