"""What a client asks of the road, by parameters or in the header, and what is kept of it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from sqlalchemy import select

from relay.db.tables import deliveries
from relay.mail.priority import Priority
from relay.policy.grants import Grants
from relay.policy.submission import User
from relay.submission.told_priority import sender_ok
from tests.kit.converse import Client
from tests.kit.house import House
from tests.submission.test_messages import LETTER, log_in, row, send, stored

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    client = await log_in(house)
    yield client
    await client.close()


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(format_datetime, id="RFC 5322"),
        pytest.param(datetime.isoformat, id="RFC 3339 with an offset"),
        pytest.param(lambda date: f"{date:%Y-%m-%dT%H:%M:%SZ}", id="RFC 3339 with a Z"),
        pytest.param(lambda date: f"{date:%a, %d %b %Y %H:%M:%S} GMT", id="obsolete zone"),
    ],
)
async def test_a_date_in_the_header_holds_the_message_and_does_not_leave(
    house: House, client: Client, write: Callable[[datetime], str]
) -> None:
    field = f"X-Relay-Send-At: {write(TOMORROW)}\r\n".encode()
    assert (await send(client, field + LETTER)).startswith("250 ")
    delivery = row(house, deliveries)
    assert (delivery.state, delivery.due_at) == ("waiting", TOMORROW)  # type: ignore[attr-defined]
    assert b"X-Relay-Send-At" not in stored(house)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ("X-Relay-Send-At: soon\r\n", "is one date"),
        ("X-Relay-Send-At:\r\n", "is one date"),
        ("X-Relay-Send-At: 2026-12-24T18:00:00\r\n", "time zone"),
        ("X-Relay-Send-At: Thu, 99 Dec 2026 18:00:00 +0000\r\n", "is one date"),
        ("X-Relay-Send-At: 2026-12-24T18:00:00Z\r\n" * 2, "is one date"),
        ("X-Relay-Send-At: 2999-12-24T18:00:00Z\r\n", "further ahead"),
    ],
)
async def test_what_is_no_such_date_is_refused(house: House, client: Client, fields: str, why: str) -> None:
    said = await send(client, fields.encode() + LETTER)
    assert said.startswith("554 5.6.0 X-Relay-Send-At")
    assert why in said


async def test_a_date_that_has_passed_holds_nothing(house: House, client: Client) -> None:
    assert (await send(client, b"X-Relay-Send-At: 2020-01-01T00:00:00Z\r\n" + LETTER)).startswith("250 ")
    assert row(house, deliveries).state != "waiting"  # type: ignore[attr-defined]


async def test_two_dates_are_one_too_many(house: House, client: Client) -> None:
    field = f"X-Relay-Send-At: {TOMORROW.isoformat()}\r\n".encode()
    said = await send(client, field + LETTER, mail="MAIL FROM:<ann@example.com> HOLDFOR=60")
    assert said.startswith("554 5.6.0 X-Relay-Send-At contradicts")


async def test_a_date_beyond_the_time_of_by_is_refused(house: House, client: Client) -> None:
    field = f"X-Relay-Send-At: {TOMORROW.isoformat()}\r\n".encode()
    said = await send(client, field + LETTER, mail="MAIL FROM:<ann@example.com> BY=3600;R")
    assert said == "554 5.6.0 X-Relay-Send-At lies beyond the time of BY"


async def test_what_was_asked_for_in_the_last_message_is_not_asked_for_in_the_next(
    house: House, client: Client
) -> None:
    await send(client, f"X-Relay-Send-At: {TOMORROW.isoformat()}\r\n".encode() + LETTER)
    await send(client)
    with house.engine.connect() as tx:
        states = [d.state for d in tx.execute(select(deliveries).order_by(deliveries.c.message_id))]
    assert len(states) == 2
    assert states[1] != "waiting"


async def test_the_parameter_takes_the_place_of_the_field(house: House, client: Client) -> None:
    await send(client, b"MT-Priority: 4\r\n" + LETTER, mail="MAIL FROM:<ann@example.com> MT-PRIORITY=1")
    assert b"MT-Priority" not in stored(house)
    assert row(house).priority == Priority.HIGH  # type: ignore[attr-defined]


async def test_the_field_alone_counts_and_stays(house: House, client: Client) -> None:
    await send(client, b"MT-Priority: 4\r\n" + LETTER)
    assert b"\r\nMT-Priority: 4\r\n" in b"\r\n" + stored(house)
    assert row(house).priority == Priority.VERY_HIGH  # type: ignore[attr-defined]


async def test_a_message_that_is_returned_when_late_expires_then(house: House, client: Client) -> None:
    await send(client, mail="MAIL FROM:<ann@example.com> BY=600;R")
    message = row(house)
    assert message.expires_at - message.accepted_at <= timedelta(seconds=600)  # type: ignore[attr-defined]


async def test_a_message_that_is_only_told_of_when_late_lives_as_long_as_any(
    house: House, client: Client
) -> None:
    await send(client, mail="MAIL FROM:<ann@example.com> BY=600;N")
    message = row(house)
    assert message.expires_at - message.accepted_at == timedelta(days=4)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (None, "250 2.1.0 Sender ok"),
        (9, "250 2.3.6 2 is the new priority of the message"),
        (3, "250 2.1.0 Sender ok"),
        (1, "250 2.1.0 Sender ok"),
        (-4, "250 2.3.6 0 is the new priority of the message"),
    ],
)
def test_the_answer_to_mail_tells_of_another_priority(asked: int | None, said: str) -> None:
    user = User("01U", "ann", Grants(), highest_priority=Priority.HIGH)
    assert str(sender_ok(user, asked)) == said
