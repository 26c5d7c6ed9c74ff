"""A user's own limits, as a client meets them."""

from relay.db import tables
from relay.policy.grants import Grants
from relay.policy.limits import Limits
from relay.policy.networks import Networks
from relay.policy.quotas import Beyond, quota
from relay.queue.items import Claimed
from relay.queue.states import DeliveryState
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
