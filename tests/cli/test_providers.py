"""Providers as they want it: presets, services over HTTP, and tokens that need no consent."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from relay.routing.presets import PRESETS
from tests.cli.conftest import Command, Run, options_of
from tests.kit.upstream import ALL, FakeUpstream
from tests.kit.web import Asked, FakeWeb

WITH_CONSENT = ("--oauth", "refresh-token", "--client-id", "app", "--no-test")


# Presets --------------------------------------------------------------------------------------------


def test_every_provider_is_listed_with_what_to_do_there(run: Run) -> None:
    listed = run("upstream", "presets", "--json").document
    assert {
        "gmail",
        "yahoo",
        "microsoft365",
        "ses",
        "mailgun",
        "postmark",
        "sendgrid",
        "brevo",
        "generic",
    } <= {preset["name"] for preset in listed}
    assert all(preset["instructions"].strip().endswith(".") for preset in listed)
    assert "apppasswords" in run("upstream", "presets", "gmail").out
    assert "is none of" in run("upstream", "presets", "gmial").err


@pytest.mark.parametrize(
    ("preset", "host", "port", "tls"),
    [
        ("gmail", "smtp.gmail.com", 587, "starttls"),
        ("yahoo", "smtp.mail.yahoo.com", 465, "implicit"),
        ("microsoft365", "smtp.office365.com", 587, "starttls"),
        ("ses", "email-smtp.eu-west-1.amazonaws.com", 587, "starttls"),
        ("mailgun", "smtp.mailgun.org", 587, "starttls"),
        ("postmark", "smtp.postmarkapp.com", 587, "starttls"),
        ("sendgrid", "smtp.sendgrid.net", 587, "starttls"),
        ("brevo", "smtp-relay.brevo.com", 587, "starttls"),
    ],
)
def test_a_preset_fills_in_where_the_provider_is(
    run: Run, preset: str, host: str, port: int, tls: str
) -> None:
    answer = run(
        "upstream", "add", "p", "--preset", preset, "--region", "eu-west-1", "--username", "ann",
        "--password-stdin", "--no-test", "--json", typed="secret\n",
    )  # fmt: skip
    assert (answer.document["host"], answer.document["port"], answer.document["tls"]) == (host, port, tls)
    refused = run("upstream", "edit", "p", "--no-verify")
    assert refused.code == 65
    assert "whose certificate can always be verified" in refused.err


def test_what_is_said_goes_before_what_the_provider_wants(run: Run) -> None:
    add = ("upstream", "add", "p", "--preset", "gmail", "--no-test", "--json")
    answer = run(*add, "--host", "smtp-relay.gmail.com", "--port", "25")
    assert (answer.document["host"], answer.document["port"]) == ("smtp-relay.gmail.com", 25)
    assert "Port 25 is often blocked" in answer.err


def test_adding_by_a_preset_says_what_to_do_at_the_provider(run: Run) -> None:
    answer = run(
        "upstream", "add", "p", "--preset", "sendgrid", "--password-stdin", "--no-test", typed="key\n"
    )
    assert "SendGrid" in PRESETS["sendgrid"].title
    assert 'The user name is the word "apikey"' in answer.out
    assert "apikey with a password" in answer.out
    assert "Amazon SES, by SMTP needs it" in run("upstream", "add", "q", "--preset", "ses").err


# Services over HTTP ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "url"),
    [
        ("postmark", "https://api.postmarkapp.com"),
        ("sendgrid", "https://api.sendgrid.com"),
        ("resend", "https://api.resend.com"),
        ("brevo", "https://api.brevo.com"),
    ],
)
def test_providers_that_take_messages_apart_want_a_key(
    run: Run, engine: Engine, preset: str, url: str
) -> None:
    add = ("upstream", "add", "p", "--preset", f"{preset}-api", "--no-test")
    assert f"An upstream of the kind {preset} needs its key" in run(*add).err
    answer = run(*add, "--password-stdin", typed="key\n")
    assert "Messages are taken apart" in answer.out
    assert options_of(engine)["url"] == url
    assert "whose certificate can always be verified" in run("upstream", "edit", "p", "--no-verify").err


@pytest.mark.parametrize(("kind", "kept"), [("http-raw", "/in/"), ("postmark", "/in")])
def test_a_url_of_ones_own_is_kept_as_it_is_written(run: Run, engine: Engine, kind: str, kept: str) -> None:
    add = ("upstream", "add", "p", "--kind", kind, "--url", "https://mail.example/in/", "--no-test")
    assert run(*add, "--password-stdin", typed="key\n").code == 0
    assert options_of(engine)["url"] == f"https://mail.example{kept}"


async def test_a_service_is_tested_before_it_is_saved(relay: Command, web: FakeWeb) -> None:
    web.on("POST /in", 204)
    add = ("upstream", "add", "mine", "--preset", "http-raw", "--url", f"{web.url}/in", "--password-stdin")
    answer = await relay(*add, typed="key\n")
    assert answer.code == 0, answer.err
    assert [line.split()[:2] for line in answer.out.splitlines()[1:4]] == [
        ["DNS", "ok"], ["connect", "ok"], ["AUTH", "ok"],
    ]  # fmt: skip
    assert answer.err == "", "nobody listens on this machine"
    (asked,) = web.to("/in")
    assert asked.headers["relay-check"] == "1"
    assert asked.body == b""
    sent = await relay("upstream", "test", "mine", "--send", "--address", "ann@example.com")
    assert "The test message was taken: 250 2.0.0 Taken by http-raw" in sent.out
    assert web.to("/in")[-1].headers["content-type"] == "message/rfc822"


async def test_a_service_that_does_not_know_us_is_not_saved(relay: Command, web: FakeWeb) -> None:
    web.on("GET /v3/domains/mg.example.com", 401, b"Forbidden")
    add = ("upstream", "add", "mg", "--preset", "mailgun-api", "--domain", "mg.example.com", "--url", web.url)
    answer = await relay(*add, "--password-stdin", typed="wrong\n")
    assert answer.code == 69
    assert "HTTP 401: Forbidden" in answer.out
    assert "Check the key or token" in answer.out
    web.on("GET /v3/domains/mg.example.com", 200, {"domain": {}})
    assert (await relay(*add, "--password-stdin", typed="right\n")).code == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--kind", "graph", "--username", "ann@example.com"), "with tokens only"),
        (("--kind", "http-raw"), "is no URL"),
        (("--kind", "http-raw", "--url", "ftp://x"), "is no URL"),
        (("--kind", "http-raw", "--url", "https://x", "--host", "y"), "has no host or port"),
        (("--kind", "ses", "--username", "AKID"), "needs the region"),
        (("--kind", "mailgun", "--domain", "mg.example.com"), "needs its key"),
        (("--host", "x", "--oauth", "client-credentials", "--client-id", "app"), "--token-url"),
        (("--host", "x", "--scope", "y"), "--oauth"),
        (("--preset", "gmail", "--oauth", "client-credentials", "--client-id", "a"), "application's secret"),
        (("--preset", "gmail", "--oauth", "refresh-token"), "application's id"),
        (("--preset", "gmail-api", "--no-verify", *WITH_CONSENT), "can always be verified"),
    ],
)
def test_what_makes_no_sense_is_said(run: Run, options: tuple[str, ...], why: str) -> None:
    answer = run("upstream", "add", "p", *options, "--no-test")
    assert answer.code in {2, 65}
    assert why in answer.err


# Tokens ----------------------------------------------------------------------------------------------


async def test_client_credentials_are_tried_at_once(relay: Command, web: FakeWeb) -> None:
    def token(asked: Asked) -> Any:
        return {"access_token": "t1" if asked.form["client_secret"] == "right" else "bad", "expires_in": 3600}

    web.on("POST /token", 200, token)
    async with FakeUpstream([*ALL, "AUTH XOAUTH2"]) as server:
        server.good_tokens = {"t1"}
        add = (
            "upstream", "add", "m365", "--host", "127.0.0.1", "--port", str(server.port), "--tls", "none",
            "--username", "ann@example.com", "--oauth", "client-credentials", "--client-id", "app",
            "--token-url", f"{web.url}/token", "--password-stdin",
        )  # fmt: skip
        wrong = await relay(*add, typed="wrong\n")
        assert wrong.code == 69
        assert "was not added" in wrong.out
        assert (await relay(*add, typed="right\n")).code == 0


def test_a_service_accounts_key_file(run: Run, engine: Engine, tmp_path: Any) -> None:
    file = tmp_path / "key.json"
    file.write_text(
        json.dumps({"client_email": "sa@x", "private_key": "PEM", "token_uri": "https://oauth2.x/token"})
    )
    add = (
        "upstream",
        "add",
        "g",
        "--preset",
        "gmail-api",
        "--oauth",
        "service-account",
        "--subject",
        "ann@example.com",
    )
    assert run(*add, "--key", str(file), "--no-test").code == 0
    oauth = options_of(engine)["oauth"]
    assert (oauth["client_id"], oauth["token_url"]) == ("sa@x", "https://oauth2.x/token")
    assert oauth["subject"] == "ann@example.com"
