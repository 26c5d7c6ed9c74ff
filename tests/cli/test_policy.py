"""What a user may send, asked and changed at the command line."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from relay.accounts.bars import Bar, set_bars
from relay.accounts.usage import Charge, charge
from relay.db.engine import write_with
from relay.queue.events import Event, record_events
from tests.cli.conftest import Run
from tests.kit.clock import NOON
from tests.kit.makers import new_id


@pytest.fixture
def ann(run: Run) -> None:
    run("user", "add", "ann", "--sender", "example.com")
    run("upstream", "add", "sandbox", "--kind", "sandbox")


def check(run: Run, **changed: str) -> tuple[int, str, dict[str, str]]:
    """Ask; return the exit code, the outcome, and the verdicts that are not "accept", by check."""
    given = {"user": "ann", "from": "ann@example.com", "to": "bob@example.org", **changed}
    options = [word for name, text in given.items() for word in (f"--{name.replace('_', '-')}", text)]
    answer = run("check-policy", *options, "--json")
    found = answer.document
    return (
        answer.code,
        found["outcome"],
        {each["check"]: each["verdict"] for each in found["checks"] if each["verdict"] != "accept"},
    )


def test_what_may_be_sent_may_and_by_which_route(run: Run, ann: None) -> None:
    assert check(run) == (0, "accept", {})
    shown = run("check-policy", "--user", "ann", "--from", "ann@example.com", "--to", "bob@example.org")
    assert "default (sandbox)" in shown.out


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"from": "boss@elsewhere.test", "header_from": "ann@example.com"}, "sender_is_granted"),
        ({"header_from": "The Boss <boss@elsewhere.test>"}, "header_from_is_granted"),
        ({"from": ""}, "header_from_is_granted"),
        ({"size": "100M"}, "fits_size"),
        ({"client": "198.51.100.1"}, "origin_is_allowed"),
        ({"to": "eve@evil.test"}, "recipient_is_allowed"),
    ],
)
def test_the_rule_that_refuses_is_named(run: Run, ann: None, changed: dict[str, str], rule: str) -> None:
    run("user", "limits", "ann", "--network", "127.0.0.0/8", "--recipient", "example.org")
    assert check(run, **changed) == (1, "reject", {rule: "reject"})


def test_what_is_asked_must_make_sense(run: Run, ann: None) -> None:
    asked = ("check-policy", "--user", "ann", "--from", "ann@example.com", "--to", "bob@example.org")
    for option, text in {"--client": "somewhere", "--size": "huge", "--priority": "9"}.items():
        answer = run(*asked, option, text)
        assert (answer.code, option in answer.err) == (2, True)


def test_what_is_held_is_said_to_be(run: Run, ann: None) -> None:
    run("user", "edit", "ann", "--mismatch", "hold")
    assert check(run, header_from="boss@elsewhere.test") == (0, "hold", {"header_from_is_granted": "hold"})


@pytest.mark.parametrize(("beyond", "code"), [("refuse", 1), ("hold", 0)])
def test_quotas_are_asked_too(run: Run, engine: Engine, ann: None, beyond: str, code: int) -> None:
    run("user", "limits", "ann", "--quota", "messages/month=1", "--beyond", beyond)
    assert check(run) == (0, "accept", {})
    ann_id = run("user", "show", "ann", "--json").document["id"]
    with engine.begin() as tx:
        charge(tx, [Charge(ann_id, datetime.now(UTC), recipients=1, octets=1000)])
    assert check(run) == (code, beyond, {"messages/month": beyond})


def test_a_quota_that_holds_no_message_at_all_refuses_for_good_as_the_door_does(run: Run, ann: None) -> None:
    run("user", "limits", "ann", "--quota", "messages/hour=0")
    refused = {"within_whole_quotas": "reject", "messages/hour": "refuse"}
    assert check(run) == (1, "reject", refused)


def test_limits_are_shown_changed_and_taken_away(run: Run, ann: None) -> None:
    changed = run(
        "user", "limits", "ann", "--quota", "octets/day=2G", "--quota", "messages/hour=100", "--json"
    )
    assert changed.document["limits"]["quotas"] == {"messages/hour": 100, "octets/day": 2 << 30}
    assert "100 messages an hour" in run("user", "limits", "ann").out
    fewer = run("user", "limits", "ann", "--quota", "octets/day=none", "--network", "10.0.0.0/8", "--json")
    assert fewer.document["limits"] == {"quotas": {"messages/hour": 100}, "networks": ["10.0.0.0/8"]}
    assert "may schedule ahead" not in run("user", "limits", "ann").out
    held = run("user", "limits", "ann", "--longest-hold", "1d 12h", "--json")
    assert held.document["limits"]["longest_hold"] == 36 * 3600
    assert "1d 12h" in run("user", "limits", "ann").out
    run("user", "limits", "ann", "--longest-hold", "none")
    assert run("user", "limits", "ann", "--quota", "none", "--network", "none", "--json").document == {
        "name": "ann",
        "limits": {},
    }


@pytest.mark.parametrize(
    "options",
    [
        ("--quota", "letters/day=1"),
        ("--quota", "messages/day=many"),
        ("--network", "here"),
        ("--longest-hold", "long"),
    ],
)
def test_limits_that_are_none_are_refused(run: Run, ann: None, options: tuple[str, str]) -> None:
    answer = run("user", "limits", "ann", *options)
    assert answer.code != 0
    assert options[1].partition("=")[0] in answer.err


def test_what_was_refused_can_be_searched(run: Run, engine: Engine) -> None:
    events = [
        Event(new_id(NOON), NOON, "message", user, peer, "sender_is_granted", "550 5.7.1 No", {"times": 3})
        for user, peer in (("ann", "192.0.2.1"), ("bob", "192.0.2.2"))
    ]
    write_with(engine, record_events, events)
    assert "sender_is_granted" in run("events", "list").out
    found = run("events", "list", "--user", "ann", "--rule", "sender", "--peer", "192.", "--json").document
    assert [event["user_name"] for event in found] == ["ann"]
    assert "Nothing was refused" in run("events", "list", "--since", "1s").out
    assert run("events", "list", "--since", "soon").code != 0


def test_who_is_barred_is_shown_until_the_time_is_over(run: Run, engine: Engine) -> None:
    assert "Nobody is barred." in run("logins", "bars").out
    now = datetime.now(UTC)
    write_with(engine, set_bars, Bar("address", "192.0.2.7", now + timedelta(minutes=15)))
    write_with(engine, set_bars, Bar("name", "ann", now - timedelta(minutes=1)))
    (bar,) = run("logins", "bars", "--json").document
    assert (bar["kind"], bar["source"]) == ("address", "192.0.2.7")
    assert "192.0.2.7" in run("logins", "bars").out
