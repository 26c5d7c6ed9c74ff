"""A user's own limits, as a client meets them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from relay.db import tables
from relay.policy.grants import Grants
from relay.policy.limits import Limits
from relay.policy.networks import Networks
from relay.policy.quotas import Beyond, quota
from relay.policy.submission import User
from relay.queue.items import Claimed
from relay.queue.states import DeliveryState
from relay.submission.used_up import UsedUp
from tests.kit.house import House
from tests.submission.test_messages import log_in, row, send

LETTER = b"From: dan@example.net\r\n\r\nx\r\n"
MAIL = "MAIL FROM:<dan@example.net>"


def has_dan(house: House, limits: Limits) -> None:
    house.has_user("dan", "dan@example.net", limits=limits)


async def test_a_recipient_elsewhere_is_refused_and_the_others_are_not(house: House) -> None:
    has_dan(house, Limits(recipients=Grants(("example.org",))))
    client = await log_in(house, "dan")
    await client.ask(MAIL)
    assert (await client.ask("RCPT TO:<bob@example.org>")).startswith("250")
    assert (await client.ask("RCPT TO:<bob@evil.test>")).startswith("550 5.7.1")
    assert (await client.ask("RCPT TO:<eve@example.org>")).startswith("250")
    await client.close()


async def test_who_comes_from_elsewhere_cannot_begin(house: House) -> None:
    has_dan(house, Limits(networks=Networks(("198.51.100.0/24",))))
    client = await log_in(house, "dan")
    assert (await client.ask(MAIL)).startswith("550 5.7.1")
    assert (await client.ask("RCPT TO:<bob@example.org>")).startswith("503")
    await client.close()


async def test_beyond_a_quota_mail_is_held_and_the_room_made_for_it_is_given_back(house: House) -> None:
    taken: list[Claimed] = []
    house.office.handover.taker = taken.append
    has_dan(house, Limits(quotas=(quota("messages/day", 0),), beyond=Beyond.HOLD))
    before = house.door.budget.used
    client = await log_in(house, "dan")
    assert (await send(client, LETTER, mail=MAIL)).startswith("250")
    held = row(house, tables.deliveries)
    assert (held.state, held.leased_by, held.attempts) == (DeliveryState.HELD, None, 0)  # type: ignore[attr-defined]
    assert taken == []
    assert house.door.budget.used == before
    await client.close()


async def test_within_a_quota_mail_goes_the_short_way(house: House) -> None:
    taken: list[Claimed] = []
    house.office.handover.taker = taken.append
    has_dan(house, Limits(quotas=(quota("messages/day", 1),)))
    client = await log_in(house, "dan")
    assert (await send(client, LETTER, mail=MAIL)).startswith("250")
    assert (await send(client, LETTER, mail=MAIL)).startswith("450 4.7.1")
    assert len(taken) == 1
    await client.close()


# --- quotas that are known to be used up, or too small for the message ------------------------


async def test_who_used_up_a_quota_hears_it_at_mail(house: House) -> None:
    has_dan(house, Limits(quotas=(quota("messages/day", 1),)))
    client = await log_in(house, "dan")
    assert (await client.ask(MAIL)).startswith("250")
    await client.ask("RSET")
    assert (await send(client, LETTER, mail=MAIL)).startswith("250")
    assert (await send(client, LETTER, mail=MAIL)).startswith("450 4.7.1 Sending limit reached")
    assert (await client.ask(MAIL)) == "450 4.7.1 Sending limit reached (1 message a day); try again later"
    await client.close()


async def test_one_message_too_large_for_what_is_left_does_not_stop_a_smaller_one(house: House) -> None:
    has_dan(house, Limits(quotas=(quota("octets/day", 4000),)))
    client = await log_in(house, "dan")
    large = LETTER + b"y" * 2500 + b"\r\n"
    assert (await send(client, large, mail=MAIL)).startswith("250")
    assert (await send(client, large, mail=MAIL)).startswith("450 4.7.1")
    assert (await send(client, LETTER, mail=MAIL)).startswith("250")
    await client.close()


async def test_a_message_beyond_a_whole_quota_is_refused_for_good(house: House) -> None:
    has_dan(house, Limits(quotas=(quota("octets/day", 1000), quota("recipients/day", 2))))
    client = await log_in(house, "dan")
    words = "552 5.7.1 This one message is more than your whole limit of 1000 octets a day"
    assert await client.ask(f"{MAIL} SIZE=1001") == words
    assert await send(client, LETTER + b"y" * 1000 + b"\r\n", mail=MAIL) == words
    # What we add to the header counts, too
    assert await send(client, LETTER + b"y" * 900 + b"\r\n", mail=MAIL) == words
    many = "a@example.org b@example.org c@example.org"
    assert (await send(client, LETTER, mail=MAIL, to=many)).startswith("552 5.7.1")
    assert (await send(client, LETTER, mail=MAIL)).startswith("250")
    await client.close()


async def test_who_may_send_nothing_at_all_hears_so_at_mail_each_time(house: House) -> None:
    has_dan(house, Limits(quotas=(quota("messages/day", 0),)))
    client = await log_in(house, "dan")
    for _ in range(2):
        assert (await client.ask(MAIL)).startswith("552 5.7.1")
    await client.close()


async def test_where_what_goes_beyond_is_held_it_may_be_more_than_all(house: House) -> None:
    has_dan(house, Limits(quotas=(quota("octets/day", 100),), beyond=Beyond.HOLD))
    client = await log_in(house, "dan")
    assert (await send(client, LETTER + b"y" * 1000 + b"\r\n", mail=f"{MAIL} SIZE=1010")).startswith("250")
    await client.close()


def test_what_is_known_of_a_quota_holds_for_seconds_within_its_window_while_the_user_has_it() -> None:
    used_up, hourly = UsedUp(), quota("messages/hour", 1)
    dan = User("1", "dan", Grants(()), limits=Limits(quotas=(hourly,)))
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    used_up.learn(dan, hourly, noon)
    assert used_up.quota_of(dan, noon + timedelta(seconds=4)) == hourly
    assert used_up.quota_of(replace(dan, limits=Limits()), noon) is None
    used_up.learn(dan, hourly, noon)
    assert used_up.quota_of(dan, noon + timedelta(seconds=5)) is None
    used_up.learn(dan, hourly, noon - timedelta(seconds=1))
    assert used_up.quota_of(dan, noon) is None


# --- what EHLO announces --------------------------------------------------------------------


async def test_a_session_is_told_the_settings_as_they_are_now(house: House) -> None:
    has_dan(house, Limits())
    client = await log_in(house, "dan")
    for octets in ("1000000", "2000000", "1000000"):
        house.set("max_message_bytes", octets)
        assert f"SIZE {octets}" in await client.ask("EHLO laptop")
    house.set("longest_hold", "0s")
    assert "FUTURERELEASE" not in await client.ask("EHLO laptop")
    await client.close()


# --- how far ahead ---------------------------------------------------------------------------


async def test_a_user_may_schedule_only_so_far_ahead(house: House) -> None:
    has_dan(house, Limits(longest_hold=timedelta(hours=1)))
    client = await log_in(house, "dan")
    announced = await client.ask("EHLO laptop")
    assert f"FUTURERELEASE {30 * 24 * 3600} " in announced  # the server's own
    assert (await client.ask(f"{MAIL} HOLDFOR=3600")).startswith("250")
    await client.ask("RSET")
    assert await client.ask(f"{MAIL} HOLDFOR=3700") == "501 5.5.4 Messages are held here for at most 1h"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert (await client.ask(f"{MAIL} HOLDUNTIL={tomorrow:%Y-%m-%dT%H:%M:%SZ}")).startswith("501 5.5.4")
    field = f"X-Relay-Send-At: {tomorrow.isoformat()}\r\n".encode()
    assert (await send(client, field + LETTER, mail=MAIL)).startswith(
        "554 5.6.0 X-Relay-Send-At lies further"
    )
    house.set("longest_hold", "1m")  # the lower of both
    assert (await client.ask(f"{MAIL} HOLDFOR=120")).startswith("501 5.5.4")
    await client.close()


async def test_a_header_may_have_so_many_fields(house: House) -> None:
    house.set("max_header_fields", "100")
    client = await log_in(house)
    head = b"From: ann@example.com\r\n"
    assert (await send(client, head + b"X: y\r\n" * 99 + b"\r\nx\r\n")).startswith("250")
    said = await send(client, head + b"X: y\r\n" * 100 + b"\r\nx\r\n")
    assert said == "554 5.6.0 Bad message header: the header has more than 100 fields"
    await client.close()
