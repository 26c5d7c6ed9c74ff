"""The commands of `relay upstream`, but for testing one."""

from pathlib import Path
from typing import get_args

import pytest
import trustme
from sqlalchemy import Engine, select

from relay.cli import upstream_options
from relay.db import tables
from relay.routing.upstreams import Tls
from relay.sealing import load_or_make
from tests.cli.conftest import Run

PROVIDER = ("upstream", "add", "provider", "--host", "smtp.example.com", "--no-test")


def test_the_first_upstream_is_the_default_and_another_can_be_made_so(run: Run) -> None:
    assert run("upstream", "add", "sandbox", "--kind", "sandbox", "--json").document["routes"] == ["default"]
    assert run(*PROVIDER, "--json").document["routes"] == []
    assert run("upstream", "edit", "provider", "--default", "--json").document["routes"] == ["default"]
    assert run("upstream", "show", "sandbox", "--json").document["routes"] == []


def test_all_that_can_be_said_of_an_upstream_is_kept_and_the_password_sealed(
    run: Run, engine: Engine, data_dir: Path
) -> None:
    answer = run(
        *PROVIDER, "--tls", "implicit", "--username", "relay", "--password-stdin",
        "--sender", "relay@example.com", "--archive", "archive@example.com", "--timeout", "20",
        "--concurrency", "3", "--json",
        typed="a secret\n",
    )  # fmt: skip
    shown = {name: value for name, value in answer.document.items() if name not in {"id", "created_at"}}
    assert shown == {
        "name": "provider",
        "kind": "smtp",
        "host": "smtp.example.com",
        "port": 465,
        "tls": "implicit",
        "verify_tls": True,
        "username": "relay",
        "has_password": True,
        "has_pinned_ca": False,
        "rewrite": {},
        "sender_address": "relay@example.com",
        "archive_address": "archive@example.com",
        "timeout": 20.0,
        "concurrency": 3,
        "limits": {},
        "options": {"domain": "", "oauth": None, "preset": "", "region": "", "resolver": "", "url": ""},
        "standing": {"state": "works", "until": None, "sentence": None, "stop": None, "processes": []},
        "is_enabled": True,
        "routes": ["default"],
        "last_check_at": None,
        "last_check": None,
        "last_check_detail": None,
        "last_connected_at": None,
        "last_success_at": None,
    }
    with engine.connect() as tx:
        sealed = tx.execute(select(tables.upstreams.c.password_sealed)).scalar_one()
    assert b"a secret" not in sealed
    assert load_or_make(data_dir / "secret.key").unseal(sealed) == "a secret"
    assert "a secret" not in run("upstream", "show", "provider").out


@pytest.mark.parametrize(
    ("options", "port", "tls"),
    [
        ((), 587, "starttls"),
        (("--port", "465"), 465, "implicit"),
        (("--port", "2525"), 2525, "starttls"),
        (("--tls", "implicit"), 465, "implicit"),
        (("--port", "465", "--tls", "starttls"), 465, "starttls"),
    ],
)
def test_port_and_tls_follow_each_other(run: Run, options: tuple[str, ...], port: int, tls: str) -> None:
    made = run(*PROVIDER, *options, "--json").document
    assert (made["port"], made["tls"]) == (port, tls)


@pytest.mark.parametrize(
    ("added", "edited", "port", "tls", "warned"),
    [
        (("--tls", "none"), ("--port", "41912"), 41912, "none", "Without TLS"),
        (("--port", "1465", "--tls", "implicit"), ("--port", "25"), 25, "implicit", "Port 25"),
        (("--port", "587"), ("--port", "465"), 465, "starttls", "Port 465 usually wants --tls implicit."),
        (("--port", "2525"), ("--tls", "implicit"), 2525, "implicit", ""),
    ],
)
def test_an_edit_changes_nothing_else(
    run: Run, added: tuple[str, ...], edited: tuple[str, ...], port: int, tls: str, warned: str
) -> None:
    run(*PROVIDER, *added)
    answer = run("upstream", "edit", "provider", *edited, "--no-test", "--json")
    assert (answer.document["port"], answer.document["tls"]) == (port, tls)
    assert warned in answer.err


def test_direct_delivery_needs_a_name_and_nothing_else(run: Run) -> None:
    made = run("upstream", "add", "direct", "--kind", "mx", "--default")
    assert made.code == 0
    assert "The network must let port 25 out" in made.out
    assert made.err == ""
    assert "verified where a domain's MTA-STS policy demands it" in made.out
    shown = run("upstream", "show", "direct", "--json").document
    assert (shown["port"], shown["tls"], shown["host"]) == (25, "opportunistic", "")
    edit = ("upstream", "edit", "direct")
    changed = run(*edit, "--resolver", "127.0.0.1:5353", "--tls", "starttls", "--json").document
    assert (changed["options"]["resolver"], changed["tls"]) == ("127.0.0.1:5353", "starttls")
    changed = run(*edit, "--resolver", "none", "--port", "2525", "--json").document
    assert (changed["options"]["resolver"], changed["tls"], changed["port"]) == ("", "starttls", 2525)
    assert "Each domain has its own servers" in run("upstream", "test", "direct").out
    assert "each domain's own servers, port 2525" in run("upstream", "list").out
    preset = run("upstream", "add", "other", "--preset", "direct", "--port", "2525", "--json").document
    assert (preset["kind"], preset["port"], preset["tls"]) == ("mx", 2525, "opportunistic")


def test_what_is_not_mentioned_is_left_as_it_is_and_none_takes_away(run: Run) -> None:
    run(*PROVIDER, "--username", "relay", "--password-stdin", "--archive", "a@example.com", typed="secret\n")
    changed = run("upstream", "edit", "provider", "--archive", "none", "--json").document
    assert (changed["archive_address"], changed["username"], changed["has_password"]) == (None, "relay", True)
    changed = run("upstream", "edit", "provider", "--username", "none", "--no-test", "--json").document
    assert (changed["username"], changed["has_password"]) == (None, False)


def test_what_is_doubtful_is_said(run: Run) -> None:
    assert "Port 25 is often blocked" in run(*PROVIDER, "--port", "25").err
    assert "is not verified" in run("upstream", "edit", "provider", "--no-verify", "--no-test").err
    assert "not verified" in run("upstream", "show", "provider").out
    assert run("upstream", "edit", "provider", "--verify", "--port", "587", "--no-test").err == ""


def test_an_upstream_is_switched_off_and_on(run: Run) -> None:
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    assert "its mail waits" in run("upstream", "disable", "sandbox").out
    assert run("upstream", "enable", "sandbox", "--json").document == {"name": "sandbox", "is_enabled": True}


def test_an_upstream_that_routes_lead_to_is_deleted_only_by_force(run: Run) -> None:
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    assert run("upstream", "delete", "sandbox").code == 2
    answer = run("upstream", "delete", "sandbox", "--yes")
    assert answer.code == 1
    assert 'The route leads to "sandbox": "default"' in answer.err
    answer = run("upstream", "delete", "sandbox", "--yes", "--force")
    assert (answer.code, "The default route leads to no upstream any more" in answer.err) == (0, True)
    assert run("upstream", "list").out == 'There are no upstreams yet: "relay upstream add".\n'


def test_whoever_deletes_an_upstream_hears_which_routes_lead_nowhere_then(run: Run) -> None:
    for name in ("sandbox", "shop", "spare"):
        run("upstream", "add", name, "--kind", "sandbox")
    run("route", "add", "orders", "--to", "shop", "--tag", "order")
    run("route", "add", "news", "--to", "shop", "--to", "spare", "--tag", "news")
    run("user", "add", "ann", "--upstream", "shop")
    assert run("upstream", "delete", "shop", "--yes", "--force").err == "".join(
        f'warning: The route "{name}" leads to no upstream any more: its mail goes by the default route.\n'
        for name in ("orders", "user:ann")
    )


def test_a_list_for_readers_says_how_each_fares(run: Run) -> None:
    run(*PROVIDER)
    heading, line = run("upstream", "list").out.splitlines()
    assert heading.startswith("name")
    assert "smtp.example.com:587" in line
    assert "not done" in line


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "nothing"), 1, 'There is no upstream "nothing"'),
        (("edit", "sandbx", "--timeout", "5"), 1, 'Did you mean "sandbox"?'),
        (("edit", "sandbox"), 2, "Say what to change"),
        (("enable", "nothing"), 1, "There is no upstream"),
        (("test", "nothing"), 1, "There is no upstream"),
        (("delete", "nothing", "--yes"), 1, "There is no upstream"),
        (("add", "sandbox", "--kind", "sandbox"), 73, 'There is an upstream "sandbox" already.'),
        (("add", "two words", "--kind", "sandbox"), 65, "letters, digits"),
        (("add", "x", "--no-test"), 65, "needs a host"),
        (("add", "x", "--host", "not a host", "--no-test"), 65, "is neither a host name nor"),
        (("add", "x", "--host", "a.example", "--port", "70000"), 2, "less than or equal to 65535"),
        (("add", "x", "--host", "a.example", "--username", "u", "--no-test"), 65, "a password is missing"),
        (("add", "x", "--host", "a.example", "--username", "u", "--password-stdin"), 65, "no password on"),
        (("add", "x", "--host", "a.example", "--sender", "x", "--no-test"), 2, '"x" is no e-mail address'),
        (("add", "x", "--host", "a.example", "--ca", "nowhere.pem"), 2, "nowhere.pem"),
        (("add", "x", "--host", "a.example", "--ca", "empty.pem", "--no-test"), 65, "no certificate in PEM"),
        (("add", "x", "--host", "a.example", "--ca", "ca.der", "--no-test"), 65, "no certificate in PEM"),
        (("add", "x", "--kind", "gmail", "--key", "ca.der", "--no-test"), 2, "--key"),
        (("add", "x", "--host", "a.example", "--timeout", "0", "--no-test"), 65, "1 to 600 seconds"),
        (
            ("add", "x", "--host", "smtp.gmail.com", "--no-verify", "--no-test"),
            65,
            "stands in the certificate",
        ),
        (("add", "x", "--kind", "mx", "--resolver", "dns.example"), 65, "give its IP address"),
        (("add", "x", "--kind", "mx", "--host", "a.example"), 65, "DNS says where"),
        (("add", "x", "--kind", "pigeon"), 2, "is not one of 'smtp', 'mx', 'sandbox'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "empty.pem").touch()
    (tmp_path / "ca.der").write_bytes(b"0\x82\x03\xe3\xff\x00")
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    answer = run("upstream", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert len(run("upstream", "list", "--json").document) == 1


def test_words_of_any_language_may_stand_beside_a_certificate(run: Run, tmp_path: Path) -> None:
    certificate = trustme.CA().cert_pem.bytes()
    (tmp_path / "ca.pem").write_bytes(b"\xef\xbb\xbfF\xc5\x91tan\xfas\xedtv\xe1ny\n" + certificate)
    made = run("upstream", "add", "x", "--host", "a.example", "--ca", "ca.pem", "--no-test")
    assert (made.code, made.err) == (0, "")


def test_a_key_file_that_holds_no_key_is_named(run: Run, data_dir: Path) -> None:
    (data_dir / "secret.key").write_text("this is not a key\n")
    answer = run("upstream", "add", "sandbox", "--kind", "sandbox")
    assert answer.code == 78
    assert f"{data_dir / 'secret.key'}" in answer.err


def test_the_key_file_is_made_for_its_owner_only(run: Run, nothing: Path) -> None:
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    assert (nothing / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_choices_on_the_line_are_those_of_routing() -> None:
    assert set(get_args(get_args(get_args(upstream_options.Tls)[0])[0])) == {each.value for each in Tls}


def test_an_upstreams_tuning_is_put_back_after_it_was_shown(run: Run, engine: Engine) -> None:
    run("upstream", "add", "box", "--kind", "sandbox", "--concurrency", "3", "--timeout", "20")
    answer = run("upstream", "reset", "box")
    assert answer.code == 2
    assert "timeout (20 s → 60 s), concurrency (3 → 10)" in answer.err
    assert run("upstream", "reset", "box", "--yes", "--json").document == {
        "reset": {"timeout": ["20 s", "60 s"], "concurrency": ["3", "10"]}
    }
    assert run("upstream", "show", "box", "--json").document["concurrency"] == 10
    run("upstream", "edit", "box", "--archive", "archive@example.com")
    again = run("upstream", "reset", "box").out
    assert again == 'Nothing to put back: timeout, connections and limits of "box" are the default.\n'
    assert run("upstream", "show", "box", "--json").document["archive_address"] == "archive@example.com"
