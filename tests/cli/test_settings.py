"""The commands of `relay settings`."""

import json

import pytest
from sqlalchemy import Engine, select

from relay.db import tables
from relay.settings import SETTINGS
from tests.cli.conftest import Run


def test_all_settings_are_listed_with_what_they_are_for(run: Run, engine: Engine) -> None:
    assert [each["name"] for each in run("settings", "list", "--json").document] == list(SETTINGS)
    assert "How long to wait after the first failed attempt" in run("settings", "list").out


def test_a_setting_is_changed_shown_and_put_back(run: Run, engine: Engine) -> None:
    assert run("settings", "set", "retry_first", "90m").out == "retry_first is now 1h 30m.\n"
    assert run("settings", "get", "retry_first", "--json").document["value"] == "1h 30m"
    assert [each["name"] for each in run("settings", "list", "--changed", "--json").document] == [
        "retry_first"
    ]
    assert run("settings", "reset", "retry_first", "--yes", "--json").document == {"reset": ["retry_first"]}
    assert run("settings", "list", "--changed").out == "Every setting is at its default.\n"


def test_a_setting_says_itself_how_it_is_turned_off(run: Run, engine: Engine) -> None:
    assert run("settings", "set", "upstream_check_every", "0").out == "upstream_check_every is now 0s.\n"
    assert run("settings", "set", "operator_address", "ops@example.com").code == 0
    assert run("settings", "set", "operator_address", "").code == 0


def test_no_lifetime_is_so_long_that_mail_could_not_be_dated(run: Run, engine: Engine) -> None:
    assert run("settings", "set", "message_lifetime", "9000000d").out == "message_lifetime is now 36500d.\n"
    assert run("events", "list", "--since", "99999999999d").code == 0


def test_what_would_be_lost_is_shown_before_it_is(run: Run, engine: Engine) -> None:
    run("settings", "set", "retry_first", "5m")
    run("settings", "set", "reveal_client", "yes")
    answer = run("settings", "reset")
    assert answer.code == 2
    assert "retry_first (5m → 30m), reveal_client (yes → no)" in answer.err
    answer = run("settings", "reset", "--all")
    assert answer.code == 2
    assert "retry_first (5m → 30m), reveal_client (yes → no)" in answer.err
    assert run("settings", "reset", "--all", "retry_first").code == 2
    assert run("settings", "reset", "--all", "--yes").code == 0
    assert "Nothing to put back" in run("settings", "reset").out


def test_every_change_is_audited_with_what_it_was(run: Run, engine: Engine) -> None:
    run("settings", "set", "retry_first", "5m")
    run("settings", "reset", "--yes")
    with engine.connect() as tx:
        trail = tx.execute(select(tables.audit).order_by(tables.audit.c.id)).all()
    assert [(row.action, row.subject, json.loads(row.detail)) for row in trail] == [
        ("settings.set", "retry_first", {"value": ["30m", "5m"]}),
        ("settings.set", "retry_first", {"value": ["5m", "30m"]}),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("get", "retry_frist"), 'Did you mean "retry_first"?'),
        (("set", "retry_frist", "5m"), 'Did you mean "retry_first"?'),
        (("set", "retry_first", "soon"), 'a duration such as "30m"'),
        (("set", "retry_first", "0s"), "at least 1s"),
        (("set", "max_header_fields", "2001"), "at most 2000"),
        (("set", "reveal_client", "perhaps"), "yes or no"),
        (("set", "operator_address", "nobody"), '"nobody" is no e-mail address'),
        (("reset", "nothing_like_it", "--yes"), 'There is no setting "nothing_like_it"'),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    run: Run, engine: Engine, arguments: tuple[str, ...], said: str
) -> None:
    answer = run("settings", *arguments)
    assert (answer.code, answer.out) == (65, "")
    assert said in answer.err
