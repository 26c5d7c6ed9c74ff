"""The commands of `relay user credential` and `relay logins`."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from relay.accounts.attempts import Attempts, Result, count_attempts, day_of
from relay.accounts.credentials import load_login
from relay.accounts.passwords import verify_password
from relay.db.engine import read_with, write_with
from tests.cli.conftest import Run

NOW = datetime.now(UTC)


def opens(engine: Engine, password: str, at: datetime = NOW) -> bool:
    login = read_with(engine, load_login, "ann", at)
    assert login is not None
    return any(verify_password(password, secret.password_hash) for secret in login.secrets)


@pytest.fixture(autouse=True)
def _ann(run: Run) -> None:
    run("user", "add", "ann", "--sender", "example.com")


def test_a_credential_is_added_listed_and_revoked(run: Run, engine: Engine) -> None:
    terms = ("--network", "10.1.2.0/24", "--network", "2001:db8::1", "--expires", "2999-01-31")
    made = run("user", "credential", "add", "ann", "printer", *terms, "--json")
    assert made.code == 0
    assert made.document["networks"] == ["10.1.2.0/24", "2001:db8::1/128"]
    assert opens(engine, made.document["password"])
    listed = run("user", "credential", "list", "ann", "--json").document
    assert [each["name"] for each in listed] == ["default", "printer"]
    assert "password" not in listed[1]
    shown = run("user", "credential", "list", "ann").out
    assert "10.1.2.0/24" in shown
    assert "anywhere" in shown
    assert run("user", "credential", "revoke", "ann", "printer").code == 2  # nobody is there to ask
    assert run("user", "credential", "revoke", "ann", "printer", "--yes").code == 0
    assert not opens(engine, made.document["password"])


def test_terms_are_changed_one_by_one(run: Run) -> None:
    run("user", "credential", "add", "ann", "printer", "--network", "10.1.2.0/24", "--expires", "90d")
    changed = run("user", "credential", "edit", "ann", "printer", "--expires", "never", "--json").document
    assert (changed["networks"], changed["expires_at"]) == (["10.1.2.0/24"], None)
    changed = run("user", "credential", "edit", "ann", "printer", "--network", "any", "--json").document
    assert changed["networks"] is None


def test_a_new_password_takes_the_place_of_the_old_one(run: Run, engine: Engine) -> None:
    old = run("user", "credential", "add", "ann", "printer", "--json").document["password"]
    fresh = run("user", "credential", "regenerate", "ann", "printer", "--json").document["password"]
    assert opens(engine, fresh)
    assert not opens(engine, old)


@pytest.mark.parametrize("name", ["send-test", "printer (old)"])
def test_a_name_that_the_relay_gives_and_takes_away_itself_is_refused(run: Run, name: str) -> None:
    answer = run("user", "credential", "add", "ann", name)
    assert (answer.code, name in answer.err) == (65, True)


def test_who_makes_a_password_that_is_good_for_nothing_is_told(run: Run) -> None:
    made = run("user", "credential", "add", "ann", "printer", "--expires", "2020-01-31")
    assert "its time is over" in made.err
    assert "its time is over" in run("user", "credential", "regenerate", "ann", "printer").err
    run("user", "credential", "edit", "ann", "printer", "--expires", "never")
    assert "its time is over" not in run("user", "credential", "regenerate", "ann", "printer").err


def test_within_the_grace_both_passwords_are_good(run: Run, engine: Engine) -> None:
    given = ("--password-stdin", "--json")
    run("user", "credential", "add", "ann", "printer", *given, typed="the first one\n")
    run(
        "user",
        "credential",
        "regenerate",
        "ann",
        "printer",
        "--grace",
        "24h",
        *given,
        typed="the second one\n",
    )
    assert opens(engine, "the first one")
    assert opens(engine, "the second one")
    tomorrow = NOW + timedelta(hours=25)
    assert not opens(engine, "the first one", tomorrow)
    assert opens(engine, "the second one", tomorrow)
    run(
        "user",
        "credential",
        "regenerate",
        "ann",
        "printer",
        "--grace",
        "24h",
        *given,
        typed="the third one\n",
    )
    assert not opens(engine, "the first one")
    assert opens(engine, "the second one")
    assert opens(engine, "the third one")


def test_after_the_first_credential_was_revoked_a_password_makes_it_anew(run: Run, engine: Engine) -> None:
    run("user", "credential", "revoke", "ann", "default", "--yes")
    password = run("user", "password", "ann", "--json").document["password"]
    assert opens(engine, password)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "nobody", "printer"), 'no user "nobody"'),
        (("add", "ann", "default"), "already"),
        (("add", "ann", " "), "1 to 64"),
        (("add", "ann", "printer", "--network", "10.1.2.3/24"), "10.1.2.3/24"),
        (("add", "ann", "printer", "--expires", "soon"), "no duration"),
        (("add", "ann", "printer", "--expires", "9999-12-31"), "no day of these times"),
        (("edit", "ann", "printer", "--expires", "1d"), 'it has "default"'),
        (("edit", "ann", "default"), "what to change"),
        (("revoke", "ann", "printer", "--yes"), 'no credential "printer"'),
        (("revoke", "ann", "printer"), 'no credential "printer"'),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(run: Run, arguments: tuple[str, ...], words: str) -> None:
    answer = run("user", "credential", *arguments)
    assert answer.code != 0
    assert words in answer.err.replace("\n", " ")


def test_logins_are_listed_by_source(run: Run, engine: Engine) -> None:
    def tried(name: str, result: Result, count: int) -> Attempts:
        return Attempts(name, "192.0.2.0/24", day_of(NOW), "PLAIN", result, count, NOW, "192.0.2.7")

    assert "Nobody tried" in run("logins", "list").out
    write_with(engine, count_attempts, (tried("ann", Result.SUCCESS, 2), tried("", Result.FAILURE, 40)))
    write_with(engine, count_attempts, (tried("ann", Result.SUCCESS, 1),))
    found = run("logins", "list", "--user", "Ann", "--json").document
    assert [(each["user"], each["result"], each["count"]) for each in found] == [("ann", "success", 3)]
    shown = run("logins", "list", "--result", "failure").out
    assert "names that nobody has" in shown
    assert "40" in shown
