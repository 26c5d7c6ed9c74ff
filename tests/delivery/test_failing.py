"""Giving mail up on an operator's word."""

from datetime import timedelta
from random import Random

from sqlalchemy import Connection

from relay.db.database import Database
from relay.delivery.failing import AT_MOST, FailNow, GivenUp, fail_now
from relay.delivery.rules import Rules
from relay.queue.accept import accept
from relay.queue.content import read_content
from relay.queue.items import Origin
from relay.queue.selection import Selection
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import Office


def order(office: Office, **selected: object) -> FailNow:
    rules = Rules(office.settings.value, office.routing.value, "relay.example", office.new_id, Random(3))
    selection = Selection(**selected)  # type: ignore[arg-type]
    return FailNow(selection, office.clock.now(), "The campaign was called off", rules)


async def test_mail_that_is_given_up_ends_as_failed_and_its_sender_hears_why(db: Database) -> None:
    office = Office(db, upstream_at(1))
    message = await office.submit("bob", "cid")
    assert await db.write(fail_now, order(office)) == GivenUp(1, 1)
    assert set((await office.ends(message)).values()) == {("failed", "554 5.0.0 The campaign was called off")}
    (report,) = await office.messages(Origin.BOUNCE)
    content = await db.read(read_content, report.id)
    assert content is not None
    assert b"Diagnostic-Code: x-relay; 554 5.0.0 The campaign was called off" in content
    assert b"whoever runs this mail server took the message out of the queue; no other server" in content
    assert b"The reason given: 554 5.0.0 The campaign was called off" in content
    assert b"recipient's server" not in content
    assert b"Last-Attempt-Date" not in content, "it never was tried"
    assert await db.read(read_content, message) is None
    (attempt,) = await office.attempts(message)
    assert attempt.upstream is None


async def test_it_is_not_given_up_twice_and_a_report_about_a_report_is_never_made(db: Database) -> None:
    office = Office(db, upstream_at(1))
    await office.submit("bob")
    assert await db.write(fail_now, order(office)) == GivenUp(deliveries=1, reports=1)
    assert await db.write(fail_now, order(office)) == GivenUp(deliveries=1, reports=0)  # the report itself
    assert await db.write(fail_now, order(office)) == GivenUp(deliveries=0, reports=0)
    assert len(await office.messages(Origin.BOUNCE)) == 1


async def test_a_letter_too_large_to_come_along_is_quoted_all_the_same(db: Database) -> None:
    office = Office(db, upstream_at(1))
    large = office.acceptance(envelope_to("bob"), LETTER + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 5000)
    await db.write(accept, large)
    assert await db.write(fail_now, order(office, message_ids=(large.id,))) == GivenUp(1, 1)
    (report,) = await office.messages(Origin.BOUNCE)
    assert b"text/rfc822-headers" in (await db.read(read_content, report.id) or b"")


async def test_much_of_it_is_given_up_in_steps_and_what_is_in_hand_is_left_alone(db: Database) -> None:
    office = Office(db, upstream_at(1))
    for number in range(AT_MOST + 5):
        await office.submit(f"r{number}")
    office.clock.turn(timedelta(seconds=1))
    assert await db.write(fail_now, order(office, sender="ann@example.com")) == GivenUp(AT_MOST, AT_MOST)
    assert await db.write(fail_now, order(office, sender="ann@example.com")) == GivenUp(5, 5)
    assert await db.write(fail_now, order(office, sender="ann@example.com")) == GivenUp(0, 0)
    assert await db.read(_reports) == AT_MOST + 5


def _reports(tx: Connection) -> int:
    from sqlalchemy import func, select

    from relay.db.tables import messages

    counted = select(func.count()).select_from(messages).where(messages.c.origin == Origin.BOUNCE.value)
    return tx.execute(counted).scalar_one()
