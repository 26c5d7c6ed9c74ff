"""Tokens to log in with: asked for by a grant, kept sealed, replaced ahead by one process for all."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from sqlalchemy import Connection, select

from relay.db.audit import Author
from relay.db.database import Database
from relay.db.tables import notices, upstream_tokens
from relay.delivery.classify import Scope, Step, Trouble
from relay.delivery.oauth.consent import DeviceCode, await_device
from relay.delivery.oauth.endpoint import post_form
from relay.delivery.oauth.grants import NoToken, granted_by
from relay.delivery.oauth.tokens import AHEAD, Tokens
from relay.delivery.transports.smtp import Smtp
from relay.ids import id_source, moment_of
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.notify.announce import announcements
from relay.queue.notices import untold
from relay.routing.changes import NewUpstream, add_upstream
from relay.routing.options import Grant, OAuth, Options
from relay.routing.tokens import Fetched, Turn, store_token, take_turn
from relay.routing.upstreams import Password, Upstream
from relay.sealing import Sealer
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import eventually
from tests.kit.clock import NOON, HandClock
from tests.kit.upstream import ALL, DROP, FakeUpstream
from tests.kit.web import Asked, FakeWeb

SEALER = Sealer([Fernet.generate_key()])
HOUR = {"token_type": "Bearer", "expires_in": 3600}


def sealed(secret: str) -> Password:
    return Password(SEALER.seal(secret), SEALER)


class Firm:
    """A token endpoint, an upstream that is logged in to with its tokens, and processes that do."""

    def __init__(self, db: Database, clock: HandClock, web: FakeWeb) -> None:
        self.db, self.clock, self.web = db, clock, web
        self.new_id = id_source(Random(3))

    async def upstream(
        self, grant: Grant = Grant.CLIENT_CREDENTIALS, port: int = 2, **facts: Any
    ) -> Upstream:
        oauth = OAuth(
            grant, f"{self.web.url}/token", "relay-app", scope="mail.send", **facts.pop("oauth", {})
        )
        given = {"username": "ann@example.com", "password": sealed("client secret"), **facts}
        made = upstream_at(port, options=Options(oauth=oauth), **given)
        made = replace(made, id=self.new_id(NOON))
        author = Author("cli:tester", NOON, id_source(Random(4)))
        await self.db.write(add_upstream, NewUpstream(author, made))
        return made

    def process(self, owner: str = "node/0") -> Tokens:
        return Tokens(self.db, self.clock, sealer=SEALER, owner=owner, new_id=self.new_id)

    async def row(self) -> Any:
        return await self.db.read(lambda tx: tx.execute(select(upstream_tokens)).one())


@pytest.fixture
async def firm(db: Database, clock: HandClock) -> Any:
    async with FakeWeb() as web:
        yield Firm(db, clock, web)


def numbered(asked: Asked) -> Any:
    """A token that is new each time."""
    numbered.count += 1  # type: ignore[attr-defined]
    return {"access_token": f"token-{numbered.count}", **HOUR}  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def from_one() -> None:
    numbered.count = 0  # type: ignore[attr-defined]


async def test_client_credentials_are_shown_and_the_token_is_kept_sealed(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    upstream = await firm.upstream()
    assert await firm.process().get(upstream) == "token-1"
    assert firm.web.asked[0].form == {
        "grant_type": "client_credentials",
        "client_id": "relay-app",
        "client_secret": "client secret",
        "scope": "mail.send",
    }
    row = await firm.row()
    assert b"token-1" not in bytes(row.access_sealed)
    assert row.expires_at == NOON + timedelta(hours=1)


async def test_many_processes_ask_once(firm: Firm) -> None:
    gate = asyncio.Event()
    firm.web.on("POST /token", 200, numbered, gate=gate)
    upstream = await firm.upstream()
    processes = [firm.process(f"node/{number}") for number in range(3)]
    wanted = [asyncio.create_task(tokens.get(upstream)) for tokens in processes for _ in range(4)]
    await eventually(lambda: len(firm.web.asked) == 1)
    gate.set()
    while not all(task.done() for task in wanted):
        firm.clock.turn(timedelta(milliseconds=200))
        await asyncio.sleep(0.005)
    assert {task.result() for task in wanted} == {"token-1"}
    assert len(firm.web.asked) == 1


async def test_it_is_replaced_ahead_by_one_while_the_others_go_on_with_it(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    upstream = await firm.upstream()
    first, second = firm.process("node/0"), firm.process("node/1")
    assert await first.get(upstream) == await second.get(upstream) == "token-1"
    firm.clock.turn(timedelta(hours=1) - AHEAD)
    gate = asyncio.Event()
    firm.web.on("POST /token", 200, numbered, gate=gate)
    renewing = asyncio.create_task(first.get(upstream))
    await eventually(lambda: len(firm.web.asked) == 2)
    assert await second.get(upstream) == "token-1"
    gate.set()
    assert await renewing == "token-2"
    assert await second.get(upstream) == "token-2"
    assert len(firm.web.asked) == 2


async def test_a_token_that_is_short_lived_is_used_for_half_of_its_life(firm: Firm) -> None:
    firm.web.on("POST /token", 200, lambda asked: numbered(asked) | {"expires_in": 300})
    upstream = await firm.upstream()
    first, second = firm.process("node/0"), firm.process("node/1")
    assert await first.get(upstream) == await first.get(upstream) == await second.get(upstream) == "token-1"
    firm.clock.turn(timedelta(seconds=149))
    assert await first.get(upstream) == "token-1"
    assert len(firm.web.asked) == 1
    firm.clock.turn(timedelta(seconds=1))
    assert await first.get(upstream) == await second.get(upstream) == "token-2"
    assert len(firm.web.asked) == 2


async def test_an_endpoint_that_is_away_is_not_asked_each_time_while_the_old_token_lasts(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    upstream, tokens = await firm.upstream(), firm.process()
    await tokens.get(upstream)
    firm.clock.turn(timedelta(hours=1) - AHEAD)
    firm.web.on("POST /token", 503)
    assert [await tokens.get(upstream) for _ in range(3)] == ["token-1"] * 3
    assert len(firm.web.asked) == 2
    firm.web.on("POST /token", 200, numbered)
    firm.clock.turn(timedelta(seconds=30))
    assert await tokens.get(upstream) == "token-2"


@pytest.mark.parametrize("seconds", [10**12, 10**17, "9" * 30])
async def test_a_token_without_end_is_believed_for_a_year(firm: Firm, seconds: Any) -> None:
    firm.web.on("POST /token", 200, {"access_token": "t", "expires_in": seconds})
    assert await firm.process().get(await firm.upstream()) == "t"
    assert (await firm.row()).expires_at == NOON + timedelta(days=365)


async def test_the_turn_of_a_process_that_died_ends(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    upstream = await firm.upstream()
    assert await firm.db.write(take_turn, Turn(upstream.id, "dead/0", NOON, NOON + timedelta(seconds=5)))
    waiting = asyncio.create_task(firm.process().get(upstream))
    while not waiting.done():
        firm.clock.turn(timedelta(milliseconds=200))
        await asyncio.sleep(0.005)
    assert await waiting == "token-1"
    assert firm.clock.now() >= NOON + timedelta(seconds=5)


async def test_a_refresh_token_that_is_replaced_is_kept_for_the_next_time(firm: Firm) -> None:
    upstream = await firm.upstream(Grant.REFRESH_TOKEN)
    consent = Fetched(upstream.id, SEALER.seal("old"), NOON, NOON, SEALER.seal("right-1"))
    await firm.db.write(store_token, consent)
    firm.web.on("POST /token", 200, {"access_token": "new", "refresh_token": "right-2", **HOUR})
    tokens = firm.process()
    assert await tokens.get(upstream) == "new"
    firm.clock.turn(timedelta(hours=1))
    await tokens.get(upstream)
    assert [asked.form["refresh_token"] for asked in firm.web.asked] == ["right-1", "right-2"]


async def test_consent_taken_back_is_told_to_the_operator_once(firm: Firm) -> None:
    upstream = await firm.upstream(Grant.REFRESH_TOKEN)
    await firm.db.write(
        store_token, Fetched(upstream.id, SEALER.seal("old"), NOON, NOON, SEALER.seal("right"))
    )
    firm.web.on("POST /token", 400, {"error": "invalid_grant", "error_description": "Token was revoked."})
    for owner in ("node/0", "node/1"):
        with pytest.raises(NoToken, match=r"invalid_grant \(Token was revoked.\)") as refusal:
            await firm.process(owner).get(upstream)
        assert refusal.value.is_final
    assert "revoked" in (await firm.row()).fault
    (notice,) = await firm.db.read(untold, 10)
    (told,) = announcements(
        notice, contact=None, operator=Address.parse("op@example.com"), hostname="relay.example"
    )
    assert told.subject == "The upstream next no longer lets the relay log in"
    assert "relay upstream authorize next" in told.text
    assert moment_of(notice.id) == NOON


async def test_without_consent_nothing_is_asked(firm: Firm) -> None:
    with pytest.raises(NoToken, match="relay upstream authorize"):
        await firm.process().get(await firm.upstream(Grant.REFRESH_TOKEN))
    assert firm.web.asked == []


async def test_an_endpoint_that_is_away_is_nobodys_fault(firm: Firm) -> None:
    firm.web.on("POST /token", 0)
    with pytest.raises(NoToken, match="cannot be asked") as refusal:
        await firm.process().get(await firm.upstream())
    assert not refusal.value.is_final

    def count(tx: Connection) -> int:
        return len(tx.execute(select(notices)).all())

    assert await firm.db.read(count) == 0


async def test_an_endpoint_whose_answer_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    is_left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not (reader.at_eof() or writer.is_closing()):
            writer.write(b" ")
            await asyncio.sleep(0.05)
        writer.transport.abort()
        is_left.set()

    monkeypatch.setattr("relay.delivery.oauth.endpoint.SECONDS", 0.3)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoToken, match="cannot be asked: TimeoutError"):
            await asyncio.wait_for(post_form(f"http://127.0.0.1:{port}/token", {}), 10)
        await is_left.wait()


async def test_whatever_an_endpoint_says_can_be_shown_and_kept(firm: Firm) -> None:
    firm.web.on("POST /token", 400, b'{"error": "invalid_grant", "error_description": "\\u0000\\ud800 no"}')
    upstream = await firm.upstream()
    with pytest.raises(NoToken, match=r"invalid_grant \(\?\? no\)"):
        await firm.process().get(upstream)

    def facts(tx: Connection) -> str:
        return str(tx.execute(select(notices.c.facts)).scalar_one())

    assert "invalid_grant (?? no)" in await firm.db.read(facts)


async def test_consent_is_waited_for_although_the_endpoint_is_away_for_a_moment(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    firm.web.on("POST /token", 0, times=2)
    oauth = OAuth(Grant.REFRESH_TOKEN, f"{firm.web.url}/token", "app")
    code = DeviceCode("https://x", "ABCD", "d1")
    waiting = asyncio.create_task(await_device(oauth, code, secret=None, clock=firm.clock))
    while not waiting.done():
        firm.clock.turn(timedelta(seconds=1))
        await asyncio.sleep(0.005)
    assert (await waiting).access == "token-1"
    assert firm.clock.now() >= NOON + code.interval * 3 + timedelta(seconds=15)


async def test_a_service_account_signs_for_itself(firm: Firm) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    firm.web.on("POST /token", 200, numbered)
    upstream = await firm.upstream(
        Grant.SERVICE_ACCOUNT, password=sealed(pem), oauth={"subject": "ann@example.com"}
    )
    assert await firm.process().get(upstream) == "token-1"
    form = firm.web.asked[0].form
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    signed, _, signature = form["assertion"].rpartition(".")
    key.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert claims == {
        "iss": "relay-app",
        "sub": "ann@example.com",
        "scope": "mail.send",
        "aud": f"{firm.web.url}/token",
        "iat": NOON.timestamp(),
        "exp": NOON.timestamp() + 3600,
    }


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"[" * 100_000, b'"x"', b'{"access_token": 5}', b"{}"]
)
def test_what_is_no_token_is_never_taken_for_one(body: bytes) -> None:
    with pytest.raises(NoToken):
        granted_by(200, body)


# At the upstream ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_the_upstream_is_shown_the_token(firm: Firm, mechanism: str) -> None:
    firm.web.on("POST /token", 200, numbered)
    async with FakeUpstream([*ALL, f"AUTH PLAIN {mechanism}"]) as server:
        server.good_tokens = {"token-1"}
        upstream = await firm.upstream(port=server.port)
        connection = await Smtp(upstream, "relay.example", firm.process()).connect()
        await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)
        await connection.close()
        login = server.taken[0].login or ""
        assert "auth=Bearer token-1" in login
        assert "ann@example.com" in login


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_a_token_that_is_refused_is_replaced_once(firm: Firm, mechanism: str) -> None:
    firm.web.on("POST /token", 200, numbered)
    async with FakeUpstream([*ALL, f"AUTH {mechanism}"]) as server:
        server.good_tokens = {"token-2"}
        upstream = await firm.upstream(port=server.port)
        connection = await Smtp(upstream, "relay.example", firm.process()).connect()
        await connection.close()
        assert len(firm.web.asked) == 2


async def test_an_upstream_that_hangs_up_on_a_bad_token_is_called_again_with_the_next(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    async with FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        server.good_tokens = {"token-2"}
        server.on("REFUSED", DROP)
        upstream = await firm.upstream(port=server.port)
        connection = await Smtp(upstream, "relay.example", firm.process()).connect()
        await connection.close()
        assert server.connections == len(firm.web.asked) == 2


async def test_if_the_next_one_is_refused_too_it_is_said_why(firm: Firm) -> None:
    firm.web.on("POST /token", 200, numbered)
    async with FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        upstream = await firm.upstream(port=server.port)
        with pytest.raises(Trouble) as trouble:
            await Smtp(upstream, "relay.example", firm.process()).connect()
        assert trouble.value.scope is Scope.UPSTREAM
        assert not trouble.value.reply.is_permanent
        assert "status 400" in trouble.value.reply.text
        assert "token-" not in str(trouble.value)
        assert len(firm.web.asked) == 2


async def test_without_a_token_the_upstream_is_in_trouble_not_the_mail(firm: Firm) -> None:
    firm.web.on("POST /token", 401, {"error": "invalid_client"})
    async with FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        upstream = await firm.upstream(port=server.port)
        with pytest.raises(
            Trouble, match="No token to log in with: the token endpoint said invalid_client"
        ) as t:
            await Smtp(upstream, "relay.example", firm.process()).connect()
        assert (t.value.step, t.value.scope) == (Step.AUTH, Scope.UPSTREAM)
