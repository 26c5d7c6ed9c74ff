"""The commands of `relay dkim`."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Run
from tests.kit.dns import FakeDns, fake_dns


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    with fake_dns() as dns:
        yield dns


def test_a_key_is_made_published_seen_and_signs(run: Run, dns: FakeDns) -> None:
    made = run("dkim", "add", "Example.com", "--selector", "Spring")
    assert made.code == 0
    assert "spring._domainkey.example.com" in made.out
    assert 'then "relay dkim check example.com"' in made.out

    (key,) = run("dkim", "show", "example.com", "--json").document
    assert key["state"] == "new"
    assert "".join(key["record"]["strings"]) == key["record"]["value"]
    assert len(key["record"]["strings"][0]) == 255

    asking = ("dkim", "check", "example.com", "--resolver", f"127.0.0.1:{dns.port}")
    missing = run(*asking)
    assert (missing.code, "no such record yet" in missing.out) == (69, True)
    dns.texts["spring._domainkey.example.com"] = [key["record"]["value"]]
    seen = run(*asking)
    assert (seen.code, "It signs from now on" in seen.out) == (0, True)
    assert "It signs from now on" not in run(*asking).out
    (key,) = run("dkim", "list", "--json").document
    assert (key["state"], key["check_detail"]) == ("active", "The record is there, and right.")
    assert "example.com" in run("dkim", "list").out


def test_both_kinds_can_be_made_at_once_and_rotated(run: Run) -> None:
    first = run("dkim", "add", "example.com", "--algorithm", "both", "--now", "--json").document
    assert [key["algorithm"] for key in first] == ["rsa-sha256", "ed25519-sha256"]
    assert {key["state"] for key in first} == {"active"}
    second = run("dkim", "rotate", "example.com", "--json").document
    assert [key["state"] for key in second] == ["new", "new"]
    assert run("dkim", "enable", "example.com").code == 2, "which of them?"
    assert run("dkim", "enable", "example.com", "--selector", second[0]["selector"]).code == 0
    states = {key["selector"]: key["state"] for key in run("dkim", "list", "--json").document}
    assert states == {
        first[0]["selector"]: "retired",
        first[1]["selector"]: "active",
        second[0]["selector"]: "active",
        second[1]["selector"]: "new",
    }
    assert "signs no more" in run("dkim", "disable", "example.com").out
    assert run("dkim", "check", "example.com").code == 1, "none is in use"


def test_keys_are_deleted_for_good(run: Run) -> None:
    run("dkim", "add", "example.com", "--selector", "a")
    assert run("dkim", "delete", "example.com").code == 2
    assert "a._domainkey.example.com" in run("dkim", "delete", "example.com", "--yes").out
    assert "No mail is signed yet" in run("dkim", "list").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "localhost"), 2),
        (("add", "exa mple.com"), 2),
        (("add", "example.com", "--selector", "a b"), 2),
        (("show", "example.com"), 1),
        (("rotate", "example.com"), 1),
    ],
)
def test_what_cannot_be_is_said(run: Run, arguments: tuple[str, ...], code: int) -> None:
    answer = run("dkim", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err


def test_a_selector_is_taken_once(run: Run) -> None:
    assert run("dkim", "add", "example.com", "--selector", "a").code == 0
    assert run("dkim", "add", "example.com", "--selector", "a").code == 73
