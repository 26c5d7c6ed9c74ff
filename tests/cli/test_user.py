"""The commands of `relay user`."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from sqlalchemy import select

from relay.accounts.credentials import load_login
from relay.accounts.passwords import verify_password
from relay.cli import user
from relay.db import tables
from relay.db.engine import open_engine, read_with
from relay.policy.decision import Mismatch
from tests.cli.conftest import Run, Take
from tests.kit.clock import NOON
from tests.kit.makers import make_session


def opens(data_dir: Path, name: str, password: str) -> bool:
    engine = open_engine(f"sqlite:///{data_dir / 'relay.db'}")
    login = read_with(engine, load_login, name, NOON)
    engine.dispose()
    assert login is not None
    return verify_password(password, login.secrets[0].password_hash)


def test_the_first_user_is_added_to_nothing_and_told_its_password_once(run: Run, nothing: Path) -> None:
    answer = run("user", "add", "Ann@Example.com", "--sender", "example.com", "--json")
    assert answer.code == 0
    assert answer.document["name"] == "ann@example.com"
    assert answer.document["senders"] == ["example.com"]
    assert opens(nothing, "ann@example.com", answer.document["password"])
    assert "password" not in run("user", "show", "ann@example.com", "--json").document
    assert (nothing.stat().st_mode & 0o777, (nothing / "relay.db").stat().st_mode & 0o077) == (0o700, 0)


def test_the_password_stands_in_the_text_only_when_it_was_made_here(run: Run, data_dir: Path) -> None:
    assert "shown only this once" in run("user", "add", "ann").out
    answer = run("user", "add", "bob", "--password-stdin", typed="correct horse battery\n")
    assert answer.code == 0
    assert "correct horse" not in answer.out + answer.err
    assert opens(data_dir, "bob", "correct horse battery")


def test_everything_that_can_be_said_of_a_user_is_kept(run: Run) -> None:
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    given = (
        "user", "add", "web", "--sender", "ann@example.com; example.org", "--sender", "*.example.net",
        "--priority", "4", "--highest-priority", "2", "--contact", "it@example.org", "--mismatch", "rewrite",
        "--default-sender", "ann@example.com", "--notes", "the shop", "--max-message", "10M",
        "--max-recipients", "20", "--inactive", "--upstream", "sandbox",
    )  # fmt: skip
    assert run(*given).code == 0
    shown = run("user", "show", "web", "--json").document
    assert {k: v for k, v in shown.items() if k not in {"id", "created_at"}} == {
        "name": "web",
        "is_active": False,
        "senders": ["*.example.net", "ann@example.com", "example.org"],
        "mismatch": "rewrite",
        "default_sender": "ann@example.com",
        "default_priority": 4,
        "highest_priority": 2,
        "upstream": "sandbox",
        "contact_address": "it@example.org",
        "limits": {"max_message_bytes": 10 * 1024 * 1024, "max_recipients": 20},
        "rewrite": {},
        "notes": "the shop",
        "last_used_at": None,
        "last_24_hours": {"messages": 0, "recipients": 0, "octets": 0},
        "last_30_days": {"messages": 0, "recipients": 0, "octets": 0},
    }


def test_what_is_not_mentioned_is_left_as_it_is_and_none_takes_away(run: Run) -> None:
    run("user", "add", "ann", "--sender", "example.com", "--contact", "it@example.com", "--notes", "first")
    run("user", "edit", "ann", "--contact", "none", "--add-sender", "example.org", "--highest-priority", "2")
    shown = run("user", "edit", "ann", "--remove-sender", "example.com", "--json").document
    assert (shown["senders"], shown["contact_address"], shown["notes"]) == (["example.org"], None, "first")
    assert shown["highest_priority"] == 2
    assert run("user", "edit", "ann", "--sender", "example.net", "--json").document["senders"] == [
        "example.net"
    ]


def test_a_user_gets_an_upstream_of_its_own_and_loses_it_again(run: Run) -> None:
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    run("user", "add", "ann", "--sender", "example.com")
    assert run("user", "edit", "ann", "--upstream", "sandbox", "--json").document["upstream"] == "sandbox"
    assert run("upstream", "show", "sandbox", "--json").document["routes"] == ["user:ann", "default"]
    assert run("user", "edit", "ann", "--no-upstream", "--json").document["upstream"] is None
    assert run("user", "edit", "ann", "--upstream", "x", "--no-upstream").code == 2


def test_a_user_without_senders_is_added_with_a_warning(run: Run) -> None:
    answer = run("user", "add", "ann")
    assert answer.code == 0
    assert answer.err == "warning: The user has no sender pattern: it can log in, but send nothing.\n"
    assert run("user", "add", "bob", "--inactive").err == ""


def test_a_list_for_readers_has_columns_and_none_has_words(run: Run) -> None:
    run("user", "add", "ann", "--sender", "a.example,b.example,c.example,d.example")
    run("user", "add", "bob", "--inactive", "--sender", "b@example.com")
    heading, ann, bob = run("user", "list").out.splitlines()
    assert heading.split("  ")[0] == "name"
    assert "a.example, b.example, c.example and 1 more" in ann
    assert bob.split()[:3] == ["bob", "no", "b@example.com"]
    run("user", "delete", "ann", "--yes")
    run("user", "delete", "bob", "--yes")
    assert run("user", "list").out == "There are no users yet.\n"
    assert run("user", "list", "--json").document == []


def test_a_user_is_switched_off_and_on(run: Run) -> None:
    run("user", "add", "ann", "--sender", "example.com")
    assert "may not log in" in run("user", "disable", "ann").out
    assert run("user", "show", "ann", "--json").document["is_active"] is False
    assert run("user", "enable", "ann", "--json").document == {"name": "ann", "is_active": True}


def test_a_new_password_replaces_the_old_as_often_as_wanted(run: Run, data_dir: Path) -> None:
    first = run("user", "add", "ann", "--json").document["password"]
    for _ in range(2):
        second = run("user", "password", "ann", "--json").document["password"]
        assert second != first
        assert opens(data_dir, "ann", second)
        assert not opens(data_dir, "ann", first)
        first = second
    run("user", "password", "ann", "--password-stdin", typed="a password of mine\r\n")
    assert opens(data_dir, "ann", "a password of mine")


def test_a_user_is_deleted_only_by_who_is_sure(run: Run) -> None:
    run("user", "add", "ann")
    answer = run("user", "delete", "ann")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert run("user", "delete", "ann", "--yes", "--json").document == {
        "deleted": "ann",
        "deliveries": 0,
        "routes": [],
    }
    assert run("user", "show", "ann").code == 1


def test_what_a_deleted_user_leaves_behind_is_said_before_and_after(run: Run, take: Take) -> None:
    session = make_session(user_id=run("user", "add", "ann", "--json").document["id"], user="ann")
    take(session=session)
    take(session=session, hold_reason="look at it")
    take()
    run("user", "add", "bob", "--upstream", "sandbox")
    run("route", "add", "news", "--to", "sandbox", "--user", "ann", "--user", "bob")
    run("queue", "stop", "--user", "ann")
    said = ("2 deliveries of its mail", "Its mail is stopped", "news", "names it")
    asked = run("user", "delete", "ann")
    assert (asked.code, [words in asked.err for words in said]) == (2, [True] * 4)
    answer = run("user", "delete", "ann", "--yes", "--json")
    assert answer.document == {"deleted": "ann", "deliveries": 2, "routes": ["news"]}
    assert [words in answer.err for words in said] == [True] * 4
    gone = run("user", "delete", "bob", "--yes", "--json")
    assert gone.document == {"deleted": "bob", "deliveries": 0, "routes": ["news"]}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "nobody"), 1, 'There is no user "nobody"'),
        (("show", "an"), 1, 'Did you mean "ann"?'),
        (("edit", "nobody", "--notes", "x"), 1, "There is no user"),
        (("enable", "nobody"), 1, "There is no user"),
        (("password", "nobody"), 1, "There is no user"),
        (("delete", "nobody", "--yes"), 1, "There is no user"),
        (("add", "ANN"), 73, 'There is a user "ann" already.'),
        (("add", "two words"), 65, "without spaces"),
        (("add", "bob", "--sender", "ex..ample"), 65, '"ex..ample" is no address'),
        (("add", "bob", "--sender", "a@b@c"), 65, '"a@b@c" is no address'),
        (("add", "bob", "--upstream", "nowhere"), 1, 'There is no upstream "nowhere"'),
        (("add", "bob", "--password-stdin"), 65, "8 to 1024 characters"),
        (("add", "bob", "--priority", "6"), 2, "less than or equal to 5"),
        (("add", "bob", "--highest-priority", "0"), 2, '"0" will not do'),
        (("add", "bob", "--priority", "1", "--highest-priority", "3"), 65, "above the highest"),
        (("add", "bob", "--contact", "it"), 2, '"it" is no e-mail address'),
        (("add", "bob", "--mismatch", "ignore"), 2, "'ignore' is not one of"),
        (("add", "bob", "--mismatch", "rewrite"), 65, "needs a default sender"),
        (("add", "bob", "--max-message", "much"), 2, '"much" will not do'),
        (("add",), 2, "Missing argument 'NAME'"),
        (("edit", "ann"), 2, "Say what to change"),
        (("edit", "ann", "--remove-sender", "example.org"), 2, "example.org is not granted"),
        (("edit", "ann", "--default-sender", "a@example.org"), 65, "not among the senders"),
        (("frobnicate",), 2, "No such command"),
        (("list", "--frobnicate"), 2, "No such option"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_change_nothing(
    run: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    run("user", "add", "ann", "--sender", "example.com")
    before = run("user", "list", "--json").document
    answer = run("user", *arguments, typed="short\n")
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert "Traceback" not in answer.err
    told = run("user", *arguments, "--json", typed="short\n")
    assert told.code == code
    assert said in told.error["error"]
    assert told.error["exit_code"] == code
    assert run("user", "list", "--json").document == before


def test_the_trail_knows_who_did_it(run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "carla")
    run("user", "add", "ann")
    engine = open_engine(f"sqlite:///{data_dir / 'relay.db'}")
    with engine.connect() as tx:
        assert [(row.actor, row.action) for row in tx.execute(select(tables.audit))] == [
            ("cli:carla", "user.add")
        ]
    engine.dispose()


def test_the_choices_on_the_line_are_those_of_policy() -> None:
    choices = get_args(get_args(get_type_hints(user, include_extras=True).get("x", user.OnMismatch))[0])[0]
    assert set(get_args(choices)) == {each.value for each in Mismatch}
