"""Consent that the relay logs in with tokens, and what comes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from relay.db import tables
from relay.sealing import load_or_make
from tests.cli.conftest import Command, Run, options_of
from tests.kit.upstream import ALL, FakeUpstream
from tests.kit.web import Asked, FakeWeb

WITH_CONSENT = ("--oauth", "refresh-token", "--client-id", "app", "--no-test")


async def test_consent_by_a_code_that_is_typed_in_elsewhere(
    relay: Command, web: FakeWeb, engine: Engine
) -> None:
    async with FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        server.good_tokens = {"t1"}
        add = (
            "upstream",
            "add",
            "m365",
            "--preset",
            "microsoft365",
            "--host",
            "127.0.0.1",
            "--port",
            str(server.port),
        )
        answer = await relay(*add, "--tls", "none", "--username", "ann@example.com", *WITH_CONSENT)
        assert 'Now give consent: "relay upstream authorize m365"' in answer.out
        point_at(engine, web)
        web.on("POST /device", 200, {
            "user_code": "ABCD", "device_code": "d1", "verification_uri": "https://x/link",
            "interval": 0, "expires_in": 900,
        })  # fmt: skip
        web.on("POST /token", 400, {"error": "authorization_pending"}, times=2)
        answer = await relay("upstream", "authorize", "m365")
        assert answer.code == 0, answer.err
        assert "Open https://x/link in any browser and type in: ABCD" in answer.err
        assert web.to("/token")[-1].form["device_code"] == "d1"
        assert "good until" in (await relay("upstream", "show", "m365")).out
        tested = await relay("upstream", "test", "m365")
        assert "logged in as ann@example.com with a token (XOAUTH2)" in tested.out
        assert "r1" not in (await relay("upstream", "show", "m365", "--json")).out


async def test_consent_by_an_address_that_the_browser_shows(
    relay: Command, web: FakeWeb, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await relay(
        "upstream", "add", "gmail", "--preset", "gmail", "--username", "ann@example.com", *WITH_CONSENT
    )
    point_at(engine, web)
    shown: list[str] = []

    def consent(_question: str, **_: Any) -> str:
        state = shown[0].partition("state=")[2].partition("&")[0]
        return f"http://localhost/?state={state}&code=c1&scope=x"

    monkeypatch.setattr("relay.cli.providers.typer.echo", lambda words, **_: shown.append(words))
    monkeypatch.setattr("relay.cli.providers.typer.prompt", consent)
    answer = await relay("upstream", "authorize", "gmail")
    assert answer.code == 0, answer.err
    form = web.to("/token")[-1].form
    assert (form["code"], form["client_id"], form["redirect_uri"]) == ("c1", "app", "http://localhost")
    assert "code_challenge_method=S256" in shown[0]
    monkeypatch.setattr(
        "relay.cli.providers.typer.prompt", lambda *_, **__: "http://localhost/?state=x&code=c1"
    )
    assert "belongs to another attempt" in (await relay("upstream", "authorize", "gmail")).err


async def test_consent_that_was_refused(relay: Command, web: FakeWeb, engine: Engine) -> None:
    await relay(
        "upstream", "add", "m365", "--preset", "microsoft365", "--username", "a@example.com", *WITH_CONSENT
    )
    point_at(engine, web)
    web.on("POST /device", 200, {
        "user_code": "A", "device_code": "d", "verification_uri": "https://x", "interval": 0, "expires_in": 9,
    })  # fmt: skip
    web.on("POST /token", 400, {"error": "access_denied", "error_description": "The user said no."})
    answer = await relay("upstream", "authorize", "m365")
    assert answer.code == 1
    assert "access_denied (The user said no.)" in answer.err


def elsewhere(web: FakeWeb, port: int) -> tuple[str, ...]:
    """An upstream at a provider that nobody knows."""
    return (
        "upstream", "add", "rt", "--host", "127.0.0.1", "--port", str(port), "--tls", "none",
        "--username", "ann@example.com", "--oauth", "refresh-token", "--client-id", "app",
        "--token-url", f"{web.url}/token",
    )  # fmt: skip


def refresh(asked: Asked) -> Any:
    """What the right `r0` brings, without another right, or `r1`, with the next."""
    known = {"r0": {}, "r1": {"refresh_token": "r2"}}
    return {"access_token": "t1", "expires_in": 3600} | known[asked.form["refresh_token"]]


@pytest.mark.parametrize(("given", "kept"), [("r0", "r0"), ("r1", "r2")])
async def test_a_right_that_somebody_has_already_is_entered(
    relay: Command, web: FakeWeb, engine: Engine, data_dir: Path, given: str, kept: str
) -> None:
    web.on("POST /token", 200, refresh)
    async with FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        server.good_tokens = {"t1"}
        answer = await relay(*elsewhere(web, server.port))
        assert 'relay upstream authorize rt --refresh-token-stdin"' in answer.out
        authorize = ("upstream", "authorize", "rt", "--refresh-token-stdin")
        answer = await relay(*authorize, typed=f"{given}\n")
        assert answer.code == 0, answer.err
        form = web.to("/token")[-1].form
        assert (form["grant_type"], form["refresh_token"], form["client_id"]) == (
            "refresh_token",
            given,
            "app",
        )
        with engine.connect() as tx:
            sealed = tx.execute(select(tables.upstream_tokens.c.refresh_sealed)).scalar_one()
        assert load_or_make(data_dir / "secret.key").unseal(sealed) == kept
        assert "with a token (XOAUTH2)" in (await relay("upstream", "test", "rt")).out
        asked = len(web.to("/token"))
        edited = await relay("upstream", "edit", "rt", "--host", "localhost")
        assert (edited.code, "with a token (XOAUTH2)" in edited.out) == (0, True)
        assert "Enter a refresh token" not in edited.out
        assert len(web.to("/token")) == asked, "the right may be good only once"


async def test_a_right_that_is_none_is_not_kept(relay: Command, web: FakeWeb, engine: Engine) -> None:
    web.on("POST /token", 400, {"error": "invalid_grant", "error_description": "Token was revoked."})
    await relay(*elsewhere(web, 587))
    authorize = ("upstream", "authorize", "rt", "--refresh-token-stdin")
    answer = await relay(*authorize, typed="old\n")
    assert (answer.code, "invalid_grant (Token was revoked.)" in answer.err) == (1, True)
    assert "old" not in answer.err
    assert "There is no refresh token on standard input" in (await relay(*authorize)).err
    with engine.connect() as tx:
        assert tx.execute(select(tables.upstream_tokens)).first() is None


async def test_where_consent_is_given_can_be_said(relay: Command, web: FakeWeb) -> None:
    await relay(*elsewhere(web, 587))
    answer = await relay("upstream", "authorize", "rt")
    assert (answer.code, "It is not known where consent is given." in answer.err) == (2, True)
    assert "--refresh-token-stdin" in answer.err
    edit = ("upstream", "edit", "rt")
    assert "no URL where consent is given" in (await relay(*edit, "--authorize-url", "nowhere")).err
    answer = await relay(*edit, "--device-url", f"{web.url}/device")
    assert 'Now give consent: "relay upstream authorize rt".' in answer.out
    web.on("POST /device", 200, {
        "user_code": "ABCD", "device_code": "d1", "verification_uri": "https://x/link",
        "interval": 0, "expires_in": 900,
    })  # fmt: skip
    answer = await relay("upstream", "authorize", "rt", "--browser")
    assert (answer.code, "leave --browser out" in answer.err) == (2, True)
    answer = await relay("upstream", "authorize", "rt")
    assert (answer.code, "Open https://x/link" in answer.err) == (0, True)


async def test_what_is_known_of_a_provider_outlasts_another_grant(
    relay: Command, web: FakeWeb, engine: Engine
) -> None:
    await relay(*elsewhere(web, 587), "--scope", "mail", "--authorize-url", f"{web.url}/consent")
    edit = ("upstream", "edit", "rt", "--oauth", "client-credentials", "--no-test", "--password-stdin")
    assert (await relay(*edit, typed="secret\n")).code == 0
    oauth = options_of(engine)["oauth"]
    assert (oauth["token_url"], oauth["scope"]) == (f"{web.url}/token", "mail")
    refused = await relay("upstream", "edit", "rt", "--tenant", "t")
    assert (refused.code, "goes with --oauth" in refused.err) == (2, True)


def test_who_needs_no_consent_is_told_so(run: Run) -> None:
    run("upstream", "add", "plain", "--host", "smtp.example.com", "--no-test")
    assert "needs nobody's consent" in run("upstream", "authorize", "plain").err


def point_at(engine: Engine, web: FakeWeb) -> None:
    """Let the one upstream's consent be given at *web*."""
    options = options_of(engine)
    options["oauth"] |= {"token_url": f"{web.url}/token"}
    if options["oauth"].get("device_url"):
        options["oauth"] |= {"device_url": f"{web.url}/device"}
    with engine.begin() as tx:
        tx.execute(tables.upstreams.update().values(options=json.dumps(options)))
