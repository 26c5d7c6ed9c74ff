"""The commands of `relay queue`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from relay.cli.choosing import parse_id
from relay.db import tables
from relay.db.engine import write_with
from relay.delivery import failing
from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.queue import control
from relay.queue.claim import ClaimOrder, claim_due
from relay.queue.items import Origin
from tests.cli.conftest import Run, Take
from tests.kit.makers import make_envelope, make_session

LATER = datetime.now(UTC) + timedelta(hours=1)


def listed(run: Run, *narrowed: str) -> list[Any]:
    """The deliveries that are listed."""
    deliveries: list[Any] = run("queue", "list", *narrowed, "--json").document["deliveries"]
    return deliveries


def states(run: Run) -> dict[str, str]:
    return {line["id"]: line["state"] for line in listed(run)}


def cut_off(engine: Engine, message: str, *, was_whole: bool) -> None:
    """The line broke at the first try of *message*; the upstream had the whole of it, or not."""
    now = datetime.now(UTC)
    with engine.begin() as tx:
        tx.execute(
            update(tables.deliveries).values(attempts=1).where(tables.deliveries.c.message_id == message)
        )
        tx.execute(
            insert(tables.attempts).values(
                message_id=message, part=1, number=1, started_at=now, finished_at=now,
                reply="451 4.4.2 The connection broke", perhaps_delivered=was_whole or None,
            )
        )  # fmt: skip


def test_an_empty_queue_says_so(run: Run, engine: Engine) -> None:
    assert run("queue", "list").out == "Nothing is in the queue.\n"
    assert run("queue", "list", "--json").document == {"stops": [], "deliveries": [], "has_more": False}
    assert run("queue", "list", "--state", "held").out == "Nothing in the queue fits.\n"


def test_a_line_says_who_to_whom_when_and_why(run: Run, take: Take) -> None:
    envelope = make_envelope(recipients=("bob@example.net", "cid@example.net"))
    due, held = take(envelope=envelope, priority=Priority.HIGH), take(hold_reason="sender not granted")
    heading, *lines = run("queue", "list").out.splitlines()
    assert heading.split()[:4] == ["id", "state", "prio", "from"]
    first, second = (line.split() for line in lines)
    assert first == [f"{due}-1", "due", "2", "ann@example.com", "2", "bob@example.net", "0", "now"]
    assert second[:2] == [f"{held}-1", "held"]
    assert lines[1].endswith("sender not granted")


def test_the_list_is_narrowed_down_and_cut(run: Run, engine: Engine, take: Take) -> None:
    run("user", "add", "ann")
    with engine.connect() as tx:
        user_id = tx.execute(select(tables.users.c.id)).scalar_one()
    mine = take(session=make_session(user="ann", user_id=user_id), due_at=LATER)
    other = take(priority=Priority.VERY_HIGH)
    found = [
        [line["message_id"] for line in listed(run, *narrowed)]
        for narrowed in (
            ("--user", "ann"), ("--state", "queued"), ("--priority", "1"), ("--state", "leased"),
            ("--upstream", "sandbox"), ("--limit", "1"),
        )
    ]  # fmt: skip
    assert found == [[mine], [other], [other], [], [mine, other], [mine]]
    assert "Only the first 1 are shown" in run("queue", "list", "--limit", "1").out
    assert run("queue", "list", "--limit", "1", "--json").document["has_more"] is True


def test_figures_are_shown(run: Run, take: Take) -> None:
    take()
    take(hold_reason="x")
    take(due_at=LATER)
    assert run("queue", "show", "--json").document == {
        "queued": 1,
        "waiting": 1,
        "leased": 0,
        "held": 1,
        "accepted_last_24_hours": 3,
        "stops": [],
    }
    assert "being delivered  0" in run("queue", "show").out


def test_mail_is_held_released_retried_and_cancelled_by_its_id(run: Run, take: Take) -> None:
    first, second = take(), take(due_at=LATER)
    assert run("queue", "hold", first.lower(), f"{second}-1", "--reason", "wait").out == (
        "2 deliveries will wait until released.\n"
    )
    assert states(run) == {f"{first}-1": "held", f"{second}-1": "held"}
    run("queue", "release", first)
    run("queue", "hold", first)
    assert {line["waiting"]["sentence"] for line in listed(run)} == {"Held: by the operator", "Held: wait"}
    assert run("queue", "release", first, second).code == 0
    assert states(run) == {f"{first}-1": "queued", f"{second}-1": "waiting"}
    assert run("queue", "retry", second, "--json").document == {"deliveries": 1, "perhaps_delivered": 0}
    assert states(run) == {f"{first}-1": "queued", f"{second}-1": "queued"}
    assert run("queue", "cancel", second).code == 2
    assert run("queue", "cancel", second, "--yes").out == "1 delivery cancelled.\n"
    assert states(run) == {f"{first}-1": "queued"}


def test_all_of_it_is_moved_however_much_it_is(run: Run, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "AT_MOST", 2)
    for _ in range(5):
        take()
    assert run("queue", "hold", "--all", "--json").document == {"deliveries": 5}
    assert run("queue", "cancel", "--state", "held", "--yes", "--json").document == {"deliveries": 5}


def test_mail_of_a_deleted_user_with_an_upstream_of_its_own_still_has_a_way(
    run: Run, engine: Engine, take: Take
) -> None:
    run("user", "add", "ann", "--upstream", "sandbox")
    with engine.connect() as tx:
        own = tx.execute(select(tables.routes.c.id).where(tables.routes.c.name == "user:ann")).scalar_one()
    message = take(route_id=own)
    run("user", "delete", "ann", "--yes")
    assert run("message", "show", message, "--json").document["deliveries"][0]["route"] == "default"


def test_nothing_to_do_is_said_and_is_no_success(run: Run, take: Take) -> None:
    message = take()
    answer = run("queue", "retry", message)
    assert (answer.code, answer.out) == (1, 'Nothing of that waits for a retry; see "relay queue list".\n')
    assert run("queue", "release", "--all").code == 1


def test_what_a_process_has_in_its_hands_is_told_of_where_an_order_leaves_it_alone(
    run: Run, engine: Engine, take: Take
) -> None:
    now = datetime.now(UTC)
    message = take()
    with engine.connect() as tx:
        route = tx.execute(select(tables.routes.c.id)).scalar_one()
    assert write_with(engine, claim_due, ClaimOrder("a process", now, timedelta(minutes=2), {route: 1}))
    told = (
        "warning: 1 delivery is being delivered, and stays as it is; "
        '"relay queue stop" gives back what has not begun.\n'
    )
    in_vain = run("queue", "cancel", message, "--yes")
    assert (in_vain.code, in_vain.err) == (1, told)
    assert not run("queue", "retry", message).err
    take()
    held = run("queue", "hold", "--all")
    assert (held.out, held.err) == ("1 delivery will wait until released.\n", told)
    assert not run("queue", "release", "--all").err


def test_how_much_it_would_be_is_said_before_anything_is_done(run: Run, take: Take) -> None:
    take()
    take(due_at=LATER)
    take(hold_reason="look at it")
    assert run("queue", "hold", "--all", "--dry-run").out == (
        "It would be 2 deliveries to 2 recipients: 1 due, 1 waiting.\n"
    )
    answer = run("queue", "cancel", "--all")
    assert answer.code == 2
    assert "3 deliveries to 3 recipients: 1 held, 1 due, 1 waiting." in answer.err
    assert sorted(states(run).values()) == ["held", "queued", "waiting"]


def test_what_is_ordered_for_a_recipient_concerns_nobody_else(run: Run, take: Take) -> None:
    people = ("amy@y.example", "bob@z.example", "cid@y.example")
    message = take(envelope=make_envelope(recipients=people))
    order = ("queue", "fail", "--recipient", "z.example")
    would_be = run(*order, "--dry-run")
    assert would_be.out == (
        "It would be 1 delivery to 1 recipient: 1 due. 2 other recipients of it stay as they are.\n"
    )
    assert run(*order, "--dry-run", "--json").document == {
        "deliveries": 0,
        "would_be": {"queued": 1},
        "recipients": 1,
        "others": 2,
    }
    refused = run(*order)
    assert (refused.code, "2 other recipients of it stay as they are" in refused.err) == (2, True)
    assert run(*order, "--yes", "--json").document["deliveries"] == 1
    document = run("message", "show", message, "--json").document
    assert [one["state"] for one in document["recipients"]] == ["open", "failed", "open"]
    assert [each["id"] for each in document["deliveries"]] == [f"{message}-1", f"{message}-2"]
    assert run("queue", "cancel", message, "--recipient", "cid@y.example", "--yes").code == 0
    assert "1 other recipient" not in run("queue", "hold", message, "--dry-run").out
    assert f"Delivery {message}-1 to recipient 1 by" in run("queue", "show", message).out


def test_whoever_tries_again_what_perhaps_arrived_is_warned(run: Run, engine: Engine, take: Take) -> None:
    certain, doubtful = take(due_at=LATER), take(due_at=LATER)
    for message in (certain, doubtful):
        cut_off(engine, message, was_whole=message == doubtful)
    would_be = run("queue", "retry", "--all", "--dry-run", "--json")
    assert (would_be.document["perhaps_delivered"], "twice" in would_be.error["warning"]) == (1, True)
    assert run("queue", "hold", "--all", "--dry-run").err == ""
    answer = run("queue", "retry", certain)
    assert (answer.out, answer.err) == ("1 delivery will be tried now.\n", "")
    answer = run("queue", "retry", doubtful)
    assert (answer.code, answer.out) == (0, "1 delivery will be tried now.\n")
    assert answer.err == (
        "warning: 1 delivery perhaps arrived at the last try: the upstream had the whole message, and the "
        "line broke before its answer. Sent again, its recipients may get it twice.\n"
    )
    assert run("queue", "retry", "--all", "--json").document == {"deliveries": 0, "perhaps_delivered": 0}


def test_no_further_try_is_promised_of_mail_that_was_given_up(run: Run, engine: Engine, take: Take) -> None:
    message = take(due_at=LATER)
    cut_off(engine, message, was_whole=True)
    run("queue", "cancel", message, "--yes")
    told = run("message", "show", message).out
    assert "perhaps delivered. If it is sent again, then late and unchanged" in told


def test_mail_is_named_by_what_it_is(run: Run, take: Take) -> None:
    young = take(tag="invoices")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = take(at=yesterday, envelope=make_envelope("Zoe@Example.ORG", ["bob@xn--bcher-kva.example"]))

    def named(*narrowed: str) -> list[str]:
        return [line["message_id"] for line in listed(run, *narrowed)]

    assert named("--older-than", "2h") == [old]
    assert named("--sender", "example.org") == named("--sender", "zoe@example.org") == [old]
    assert named("--sender", "ple.org") == named("--sender", "eve@example.org") == []
    assert named("--recipient", "bücher.example") == [old]
    assert named("--recipient", "example.net") == named("--tag", "invoices") == [young]
    assert named("--route", "default", "--upstream", "sandbox") == [old, young]
    assert run("queue", "list", "--older-than", "long").code == 2
    assert run("queue", "list", "--recipient", "a b@example.net").code == 2
    assert named("--older-than", "99999999d") == []
    assert run("queue", "hold", f"{old}-{'9' * 20}").code == run("queue", "hold", f"{old}-²").code == 2
    assert run("queue", "list", "--sender", "a b.c\u2260").code == 2
    assert "There is no route" in run("queue", "list", "--route", "nowhere").err


def test_the_queue_is_stopped_and_started_and_says_so(run: Run, engine: Engine, take: Take) -> None:
    take()
    run("user", "add", "ann")
    answer = run("queue", "stop", "--reason", "moving house")
    assert answer.code == 0
    assert "The queue was stopped by cli:" in answer.out
    assert (
        run("queue", "stop", "--user", "ann").code == run("queue", "stop", "--upstream", "sandbox").code == 0
    )
    shown = run("queue", "list").out
    assert "The queue was stopped" in shown
    assert "Mail of the user ann was stopped" in shown
    assert "Mail to the upstream sandbox was stopped" in run("queue", "show").out
    stops = run("queue", "show", "--json").document["stops"]
    assert run("queue", "list", "--state", "held", "--json").document == {
        "stops": stops,
        "deliveries": [],
        "has_more": False,
    }
    assert [(stop["user"], stop["upstream"]) for stop in stops] == [
        (None, None),
        (None, "sandbox"),
        ("ann", None),
    ]
    answer = run("queue", "start")
    assert answer.out.startswith("It moves again.\nMail to the upstream sandbox was stopped")
    assert (run("queue", "start").code, run("queue", "start", "--upstream", "sandbox").code) == (1, 0)
    assert run("queue", "start", "--user", "ann", "--json").document == {"started": True, "stops": []}
    assert run("queue", "stop", "--user", "ann", "--upstream", "sandbox").code == 2
    assert run("queue", "stop", "--user", "nobody").code == 1


@pytest.mark.parametrize("reach", [(), ("--user", "ann"), ("--upstream", "sandbox")])
def test_a_stop_names_the_command_that_ends_it(run: Run, take: Take, reach: tuple[str, ...]) -> None:
    take()
    run("user", "add", "ann")
    told = run("queue", "stop", *reach).out
    command = " ".join(("relay queue start", *reach))
    assert told.endswith(f'the rest waits for "{command}".\n')
    assert f'end that with "{command}"\n' in run("queue", "list").out
    assert f'end that with "{command}"\n' in run("queue", "show").out
    assert run(*command.split()[1:]).out == "It moves again.\n"


def test_why_mail_waits_is_told_for_each_delivery(run: Run, take: Take) -> None:
    take(priority=Priority.HIGH)
    second, later = take(), take(due_at=LATER)
    told = {line["message_id"]: line["waiting"] for line in listed(run)}
    assert (told[second]["why"], told[second]["ahead"]) == ("behind", 1)
    assert (told[later]["why"], told[later]["estimated_at"]) == ("scheduled", LATER.isoformat())
    assert "1 delivery goes before it" in run("queue", "show", second).out
    (delivery,) = run("message", "show", later, "--json").document["deliveries"]
    assert delivery["waiting"]["sentence"].startswith("Scheduled: not to be sent before")
    assert "expected to be sent at" in run("message", "show", later).out
    run("queue", "stop")
    (delivery,) = run("queue", "show", second, "--json").document["deliveries"]
    assert delivery["waiting"]["why"] == "stopped"


def test_mail_gets_another_priority_and_the_place_that_goes_with_it(run: Run, take: Take) -> None:
    first, second = take(), take()
    assert run("queue", "prioritise", second, "--to", "1").out == "1 delivery now of priority 1.\n"
    assert run("queue", "prioritise", second, "--to", "1").code == 1
    assert {line["message_id"]: line["priority"] for line in listed(run)} == {
        first: 3,
        second: 1,
    }


def test_mail_takes_another_way(run: Run, engine: Engine, take: Take) -> None:
    message = take()
    run("upstream", "add", "other", "--kind", "sandbox")
    assert "No route leads to" in run("queue", "reroute", message, "--to-upstream", "other").err
    run("user", "add", "ann", "--upstream", "other")
    answer = run("queue", "reroute", message, "--to-upstream", "other")
    assert answer.out == '1 delivery will take the route "user:ann".\n'
    assert listed(run, "--upstream", "other")[0]["message_id"] == message
    assert run("queue", "reroute", message, "--to-route", "default").code == 0
    assert run("queue", "reroute", message, "--to-route", "default").code == 1
    assert run("queue", "reroute", message).code == 2


def test_mail_is_given_up_and_its_senders_hear_why(run: Run, engine: Engine, take: Take) -> None:
    message = take(envelope=make_envelope(recipients=("bob@example.net", "cid@example.net")))
    assert run("queue", "fail", message, "--reason", "The campaign was called off").code == 2
    answer = run("queue", "fail", message, "--reason", "The campaign was called off", "--yes")
    assert answer.out == "1 delivery failed; 1 report goes to a sender.\n"
    document = run("message", "show", message, "--json").document
    assert [one["state"] for one in document["recipients"]] == ["failed", "failed"]
    assert document["recipients"][0]["reply"] == "554 5.0.0 The campaign was called off"
    (report,) = listed(run)
    assert (report["sender"], report["first_recipient"]) == ("", "ann@example.com")
    told = run("message", "show", report["message_id"], "--raw").out
    assert "The campaign was called off" in told


def test_of_what_is_given_up_only_as_many_reports_are_told_of_as_are_made(
    run: Run, engine: Engine, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = (Recipient(1, Address.parse("bob@example.net"), notify="NEVER"),)
    take(envelope=Envelope(Address.parse("ann@example.com"), never))
    take(envelope=make_envelope(""))
    take(origin=Origin.ARCHIVE)
    answer = run("queue", "fail", "--all", "--yes")
    assert answer.out == "3 deliveries failed; no sender gets a report, for none wants one or can be told.\n"
    for _ in range(5):
        take()
    monkeypatch.setattr(failing, "AT_MOST", 2)  # so that the reports of one step are there in the next
    answer = run("queue", "fail", "--all", "--yes", "--json")
    assert answer.document == {"deliveries": 5, "reports": 5}
    with engine.connect() as tx:
        details = tx.execute(select(tables.audit.c.detail).where(tables.audit.c.action == "queue.fail"))
        assert [json.loads(detail)["reports"] for detail in details.scalars()] == [0, 2, 2, 1]


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "cancel"])
def test_which_mail_is_meant_must_be_said(run: Run, engine: Engine, verb: str) -> None:
    answer = run("queue", verb)
    assert answer.code == 2
    assert "Say which mail" in answer.err
    answer = run("queue", verb, "nonsense", "--json")
    assert answer.code == 2
    assert '"nonsense" is no id' in answer.error["error"]
    assert run("queue", verb, "--user", "nobody", *(["--yes"] if verb == "cancel" else [])).code == 1


def test_what_was_done_to_the_queue_is_audited(run: Run, engine: Engine, take: Take) -> None:
    message = take()
    run("queue", "hold", message)
    with engine.connect() as tx:
        last = tx.execute(select(tables.audit).where(tables.audit.c.action == "queue.hold")).one()
    assert (last.subject, json.loads(last.detail)) == (message, {"deliveries": 1})


def test_ids_are_read_in_either_case_with_or_without_a_part() -> None:
    message = "01KAK5VE8W5Q4RSE7H2RZQ8T0C"
    assert parse_id(message.lower()) == (message, None)
    assert parse_id(f" {message}-12 ") == (message, 12)
