"""The story of a message, as `relay message show` tells it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from relay.db import tables
from relay.db.engine import write_with
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.queue.claim import ClaimOrder, TakeBack, claim_due, take_back
from relay.queue.items import Origin
from relay.queue.settle import settle
from tests.cli.conftest import Run, Take
from tests.kit.makers import (
    CONTENT,
    DEFERRED,
    DELIVERED,
    FAILED,
    NO_ROOM,
    make_envelope,
    make_session,
    make_settlement,
)

FATES = (DELIVERED, DEFERRED, FAILED)


def try_once(
    engine: Engine, run: Run, replies: Sequence[Reply] = FATES, *, left_alone: str | None = None
) -> None:
    """Deliver what is due: each recipient gets its reply, unless there was no room for it."""
    with engine.connect() as tx:
        row = tx.exec_driver_sql("SELECT id FROM routes").scalar_one()
    route = {row: 1}
    now = datetime.now(UTC)
    (claimed,) = write_with(engine, claim_due, ClaimOrder("n/1", now, timedelta(minutes=2), route))
    settled = make_settlement(claimed, *replies, at=now, retry_at=now + timedelta(minutes=30))
    record = settled.record._replace(left_alone=left_alone)
    write_with(engine, settle, settled._replace(record=record))


def test_it_says_which_senders_were_not_the_users(run: Run, take: Take) -> None:
    became = "boss@elsewhere.test in the header: let through"
    message = take(mismatch=became)
    assert became in run("message", "show", message).out
    assert run("message", "show", message, "--json").document["mismatch"] == became
    assert "not the user's" not in run("message", "show", take()).out


def test_it_says_which_priority_was_asked_for_and_which_an_operator_gave(run: Run, take: Take) -> None:
    capped = take(priority=Priority.NORMAL, priority_asked=Priority.VERY_HIGH)
    assert "3; it asked for 1, higher than its user was allowed\n" in run("message", "show", capped).out
    assert run("message", "show", capped, "--json").document["priority_asked"] == 1
    raised = take(priority=Priority.HIGH, priority_asked=Priority.LOW)
    assert "2; it asked for 4, lower than its user's own\n" in run("message", "show", raised).out

    assert "with priority" not in run("message", "show", capped).out
    run("queue", "prioritise", capped, "--to", "2")
    assert ' by route "default" with priority 2: ' in run("message", "show", capped).out
    (delivery,) = run("message", "show", capped, "--json").document["deliveries"]
    assert delivery["priority"] == 2


def test_the_whole_story_is_told(run: Run, engine: Engine, take: Take) -> None:
    envelope = make_envelope(recipients=("bob@example.net", "cid@example.net", "eve@example.net"))
    session = make_session(user="ann", tls="TLSv1.3 TLS_AES_256_GCM_SHA384")
    message = take(envelope=envelope, session=session, subject="Tea", header_from="ann@example.com")
    try_once(engine, run)
    told = run("message", "show", message).out
    for word in (
        "ann@example.com", "Tea", "192.0.2.7", '"laptop.example.com"', "submission", "TLSv1.3",
        "bob@example.net", "delivered", "250 2.0.0 Taken", "cid@example.net", "open", "451 4.3.0 Not now",
        "eve@example.net", "failed", "550 5.1.1 No such user", 'by route "default": waiting, next try',
        "mx.example.net [192.0.2.25]:25", "kept; see --raw",
    ):  # fmt: skip
        assert word in told
    document = run("message", "show", f"{message}-1", "--json").document
    assert [one["state"] for one in document["recipients"]] == ["delivered", "open", "failed"]
    (delivery,) = document["deliveries"]
    assert (delivery["id"], delivery["route"], delivery["state"]) == (f"{message}-1", "default", "waiting")
    assert [attempt["number"] for attempt in delivery["attempts"]] == [1]
    assert not document["is_finished"]
    assert run("queue", "show", message, "--json").document == document


@pytest.mark.parametrize("origin", Origin)
def test_whoever_made_a_message_its_story_is_told(run: Run, take: Take, origin: Origin) -> None:
    message = take(origin=origin)
    told = run("message", "show", message)
    assert (told.code, f"Message {message}\n  what " in told.out) == (0, True)
    assert run("queue", "show", message, "--json").document["origin"] == origin


def test_what_was_made_of_a_message_is_told_with_it_and_the_other_way_round(
    run: Run, engine: Engine, take: Take
) -> None:
    original = take()
    try_once(engine, run, [FAILED])
    report = take(
        origin=Origin.BOUNCE, about=original, envelope=make_envelope(recipients=["ann@example.com"])
    )
    copy = take(origin=Origin.ARCHIVE, about=original, envelope=make_envelope(recipients=["all@example.org"]))
    try_once(engine, run, [DELIVERED])
    try_once(engine, run, [FAILED])
    told = run("message", "show", original).out
    assert f"A report on it to ann@example.com is message {report}: delivered\n" in told
    assert f"A copy of it for the archive all@example.org is message {copy}: failed ({FAILED})" in told
    document = run("message", "show", original, "--json").document
    assert [(one["id"], one["state"]) for one in document["followers"]] == [
        (report, "delivered"),
        (copy, "failed"),
    ]
    its_own = run("message", "show", report).out
    assert "  a report to the sender of a message, made here\n" in its_own
    assert f"message {original}\n" in its_own
    assert run("message", "show", copy, "--json").document["about"] == original


def test_who_is_split_off_by_an_order_has_a_story_that_goes_on(run: Run, engine: Engine, take: Take) -> None:
    message = take(envelope=make_envelope(recipients=("bob@z.example", "cid@example.net", "x@example.net")))
    try_once(engine, run, (DEFERRED, DEFERRED, FAILED))
    run("queue", "hold", "--recipient", "z.example")
    told = run("message", "show", message).out
    assert f"try 1, recipient 1: 451 4.3.0 Not now; now in delivery {message}-2" in told
    assert f'Delivery {message}-2 to recipient 1 by route "default": held' in told
    assert "  tried before: as part of another delivery" in told


def test_who_had_no_room_in_a_transaction_is_shown_going_on_in_the_next(
    run: Run, engine: Engine, take: Take
) -> None:
    message = take(envelope=make_envelope(recipients=[f"r{number}@example.net" for number in range(1, 7)]))
    try_once(engine, run, (DELIVERED, FAILED, DELIVERED, NO_ROOM, NO_ROOM, NO_ROOM))
    try_once(engine, run, (DELIVERED, NO_ROOM, DELIVERED))
    told = run("message", "show", message).out
    for line in (
        f'Delivery {message}-1 to recipients 1 to 3 by route "default": done',
        "  try 1, recipient 2: 550 5.1.1 No such user",
        f"  try 1, recipients 4, 6: 452 4.5.3 Too many recipients; now in delivery {message}-2",
        f"  try 1, recipient 5: 452 4.5.3 Too many recipients; now in delivery {message}-3",
        f'Delivery {message}-2 to recipients 4, 6 by route "default": done',
        f'Delivery {message}-3 to recipient 5 by route "default": due, next try',
        "  not tried yet",
    ):
        assert line in told


def test_what_was_left_alone_is_told_with_the_reason(run: Run, engine: Engine, take: Take) -> None:
    message, why = take(), "header and footer: it is signed or encrypted"
    try_once(engine, run, [DELIVERED], left_alone=why)
    told = run("message", "show", message).out
    assert f"  try 1: sent without what was to be changed in it ({why})" in told
    (delivery,) = run("message", "show", message, "--json").document["deliveries"]
    assert [attempt["left_alone"] for attempt in delivery["attempts"]] == [why]


def test_a_try_whose_process_died_is_told_of(run: Run, engine: Engine, take: Take) -> None:
    message, now = take(), datetime.now(UTC)
    with engine.connect() as tx:
        route = tx.exec_driver_sql("SELECT id FROM routes").scalar_one()
    assert write_with(engine, claim_due, ClaimOrder("n/1", now, timedelta(minutes=2), {route: 1}))
    write_with(engine, take_back, TakeBack(now, "n/1"))
    died = "  try 1: the process that had it died without a word. If the message was out by then"
    assert died in run("message", "show", message).out
    try_once(engine, run, [DELIVERED])
    assert died in run("message", "show", message).out
    (delivery,) = run("message", "show", message, "--json").document["deliveries"]
    assert (delivery["lost_tries"], [each["number"] for each in delivery["attempts"]]) == ([1], [2])


def test_the_message_itself_comes_out_as_it_is_sent(run: Run, take: Take) -> None:
    message = take()
    assert run("message", "show", message, "--raw").out.encode() == CONTENT
    assert run("message", "show", message, "--raw", "--json").document["content"] == CONTENT.decode()


def test_a_message_that_is_gone_or_never_was_is_said_to_be(run: Run, engine: Engine, take: Take) -> None:
    message = take()
    run("queue", "cancel", message, "--yes")
    answer = run("message", "show", message, "--raw")
    assert (answer.code, answer.out) == (1, "")
    assert "no longer kept" in answer.err
    assert "cancelled by cli:" in run("message", "show", message).out
    answer = run("message", "show", "01KAK5VE8W5Q4RSE7H2RZQ8T0C")
    assert answer.code == 1
    assert "There is no message 01KAK5VE8W5Q4RSE7H2RZQ8T0C" in answer.err
    assert run("message", "show", "nonsense").code == 2


def test_what_strangers_wrote_cannot_move_the_cursor(run: Run, take: Take) -> None:
    message = take(subject="\x1b[2J[bold]Tea\r\x07[/bold]")
    told = run("message", "show", message).out
    assert "\x1b" not in told
    assert "?[2J[bold]Tea??[/bold]" in told


def test_the_header_is_told_in_letters_and_kept_as_it_was_written(run: Run, take: Take) -> None:
    author = "=?utf-8?q?J=C3=BCrgen?= <ann@example.com>"
    message = take(subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?IOaXpeacrA==?=", header_from=author)
    told = run("message", "show", message).out
    assert "Grüße 日本" in told
    assert "Jürgen <ann@example.com>" in told
    assert run("message", "show", message, "--json").document["subject"].startswith("=?utf-8?q?")
    message = take(subject="=?utf-8?q?Tea=0A__accepted=1B?= =?utf-8?b?IOaXp")
    assert "Tea?  accepted?=?utf-8?b?IOaXp" in run("message", "show", message).out


def test_a_route_that_leads_nowhere_any_more_has_its_name_still(run: Run, take: Take) -> None:
    message = take()
    run("upstream", "add", "other", "--kind", "sandbox")
    assert run("upstream", "delete", "sandbox", "--yes", "--force").code == 0
    told = run("message", "show", message).out
    assert f'Delivery {message}-1 by route "default": due' in told
    assert "The default route leads to no upstream" in told


def test_mail_whose_route_is_passed_over_or_gone_is_said_to_go_by_the_default_route(
    run: Run, engine: Engine, take: Take
) -> None:
    run("upstream", "add", "other", "--kind", "sandbox")
    run("route", "add", "shop", "--to", "other", "--tag", "shop")
    with engine.connect() as tx:
        shop = tx.execute(select(tables.routes.c.id).where(tables.routes.c.name == "shop")).scalar_one()
    message = take(route_id=shop, hold_reason="to be looked at")

    def way() -> str:
        return run("message", "show", message).out.partition(f"Delivery {message}-1 ")[2].splitlines()[0]

    assert way() == 'by route "shop": held'
    run("route", "edit", "shop", "--disable")
    assert way() == 'by the default route (route "shop" is switched off): held'
    run("route", "edit", "shop", "--enable")
    run("upstream", "delete", "other", "--yes", "--force")
    assert way() == 'by the default route (route "shop" leads to no upstream): held'
    run("route", "delete", "shop", "--yes")
    assert way() == "by the default route (its own is gone): held"
    run("queue", "cancel", message, "--yes")
    assert way() == "by a route that is gone: done"
