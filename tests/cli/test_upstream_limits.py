"""The limits of upstreams, and how they stand."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from relay.db import nodes
from relay.db.engine import write_with
from relay.routing.standing import Stand, State, record_stands
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def upstream(run: Run) -> str:
    added = run("upstream", "add", "provider", "--host", "smtp.example.com", "--no-test", "--json")
    return str(added.document["id"])


def stand(engine: Engine, upstream_id: str, state: State, **facts: object) -> None:
    now = datetime.now(UTC)
    write_with(engine, nodes.beat, nodes.Beat("here/0", now, now))
    write_with(
        engine,
        record_stands,
        Stand(upstream_id, "here/0", state, now, now + timedelta(minutes=4), **facts),  # type: ignore[arg-type]
    )


def test_limits_are_set_shown_and_taken_away(run: Run) -> None:
    assert run("upstream", "limits", "provider", "--json").document["limits"] == {}
    answer = run(
        "upstream", "limits", "provider", "--per-minute", "60", "--per-day", "10K", "--batch", "50",
        "--pause", "30", "--recipients", "10", "--largest", "20M", "--per-connection", "5",
        "--beyond", "overflow", "--json",
    )  # fmt: skip
    assert answer.document["limits"] == {
        "per_minute": 60,
        "per_day": 10240,
        "batch": 50,
        "pause": 30,
        "recipients": 10,
        "octets": 20 * 2**20,
        "per_connection": 5,
        "overflows": True,
    }
    shown = run("upstream", "show", "provider").out
    for words in ("60 messages a minute", "50 messages, then 30 s of rest", "goes to the next upstream"):
        assert words in shown
    left = run(
        "upstream", "limits", "provider", "--per-minute", "none", "--batch", "none", "--pause", "none",
        "--beyond", "wait", "--json",
    )  # fmt: skip
    assert set(left.document["limits"]) == {"per_day", "recipients", "octets", "per_connection"}
    assert "mail waits" in run("upstream", "limits", "provider").out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--per-minute", "0"), 65, "A limit is 1 or more"),
        (("--per-minute", "many"), 2, '"many" is neither a number nor "none"'),
        (("--batch", "5"), 65, "give both --batch and --pause"),
        (("--largest", "big"), 2, "--largest"),
    ],
)
def test_mistakes_are_told_in_a_sentence(run: Run, options: tuple[str, ...], code: int, said: str) -> None:
    answer = run("upstream", "limits", "provider", *options)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert run("upstream", "limits", "provider", "--json").document["limits"] == {}


def test_an_upstream_that_is_down_says_since_when_why_and_when_it_is_probed(
    run: Run, engine: Engine, upstream: str
) -> None:
    stand(engine, upstream, State.DOWN, reason="451 4.4.1 Cannot connect: connection refused")
    assert "down" in run("upstream", "list").out
    shown = run("upstream", "show", "provider").out
    for words in ("Upstream provider is down: 451 4.4.1 Cannot connect", "since", "next probe"):
        assert words in shown
    document = run("upstream", "show", "provider", "--json").document["standing"]
    assert document["state"] == "down"
    assert [process["owner"] for process in document["processes"]] == ["here/0"]
    assert "provider is down" in run("route", "show", "default").out


def test_one_that_an_operator_stopped_is_not_said_to_work(run: Run, engine: Engine, upstream: str) -> None:
    run("queue", "stop", "--upstream", "provider", "--reason", "too many complaints")
    listed = run("upstream", "list").out
    assert "stopped" in listed
    assert "works" not in listed
    because = "Mail to the upstream provider was stopped by"
    shown = run("upstream", "show", "provider").out
    assert because in shown
    assert "too many complaints" in shown
    assert because in run("route", "show", "default").out
    stop = run("upstream", "show", "provider", "--json").document["standing"]["stop"]
    assert (stop["upstream"], stop["reason"]) == ("provider", "too many complaints")
    stand(engine, upstream, State.DOWN, reason="451 4.4.1 Cannot connect: connection refused")
    assert "down, stopped" in run("upstream", "list").out
    assert "Cannot connect" in run("upstream", "show", "provider").out
    run("queue", "start", "--upstream", "provider")
    assert "stopped" not in run("upstream", "list").out
    run("queue", "stop")
    assert "down, stopped" in run("upstream", "list").out


def test_one_that_was_slowed_down_says_so(run: Run, engine: Engine, upstream: str) -> None:
    stand(engine, upstream, State.WORKS, slowed_to=2.5)
    assert "2.5 connections of each process" in run("upstream", "show", "provider").out
    stand(engine, upstream, State.WORKS, slowed_to=0.25)
    assert "one message in 4 s of each process" in run("upstream", "show", "provider").out


def test_one_that_had_its_share_says_when_it_goes_on(run: Run, engine: Engine, upstream: str) -> None:
    stand(engine, upstream, State.SPENT, reason="60 messages a minute")
    shown = run("upstream", "show", "provider").out
    assert "Upstream provider has had its 60 messages a minute" in shown
    assert "goes on" in shown
