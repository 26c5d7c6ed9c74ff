"""What becomes of mail with a sender that is not granted, from the socket to the queue."""

import asyncio

import pytest
from sqlalchemy import Engine, select

from relay.db import tables
from relay.mail.address import Address
from relay.notify.mismatch import MOST_OF_ONE_USER
from relay.policy.decision import Mismatch
from tests.kit.house import House
from tests.submission.test_messages import log_in, row, send, stored

BODY = b"\r\n.dots\r\n..\r\nFrom: not a header\r\n8-bit \xe4 and a long tail \t \r\n"
HEAD = b"X-Odd:   kept  \r\n\tfolded\r\nDate: d\r\nMessage-ID: <m>\r\n"


def notices(engine: Engine) -> list[str]:
    with engine.connect() as tx:
        return [row.facts for row in tx.execute(select(tables.notices))]


def has_eve(house: House, mismatch: Mismatch) -> None:
    house.has_user(
        "eve", "eve@example.net", mismatch=mismatch, default_sender=Address.parse("eve@example.net")
    )


async def test_rewriting_moves_from_to_reply_to_and_touches_nothing_else(house: House) -> None:
    has_eve(house, Mismatch.REWRITE)
    client = await log_in(house, "eve")
    letter = b'From: "The  Boss"\r\n <boss@elsewhere.test>\r\n' + HEAD + BODY
    assert (await send(client, letter, mail="MAIL FROM:<eve@example.net>")).startswith("250")
    expected = b'From: eve@example.net\r\nReply-To: "The  Boss"\r\n <boss@elsewhere.test>\r\n' + HEAD + BODY
    assert stored(house).endswith(expected)
    await client.close()


async def test_a_reply_to_that_is_there_stays_the_only_one(house: House) -> None:
    has_eve(house, Mismatch.REWRITE)
    client = await log_in(house, "eve")
    kept = b"Reply-To: desk@elsewhere.test\r\n" + HEAD
    letter = b"From: boss@elsewhere.test\r\nSender: boss@elsewhere.test\r\n" + kept + BODY
    await send(client, letter, mail="MAIL FROM:<boss@elsewhere.test>")
    content = stored(house)
    assert content.endswith(b"From: eve@example.net\r\n" + kept + BODY)
    assert b"boss@" not in content
    assert row(house).sender == "eve@example.net"  # type: ignore[attr-defined]
    await client.close()


@pytest.mark.parametrize(
    ("envelope", "header", "kept_envelope", "kept_header"),
    [
        ("bounces@elsewhere.test", "sales@example.net", "eve@example.net", "sales@example.net"),
        ("sales@example.net", "boss@elsewhere.test", "sales@example.net", "eve@example.net"),
    ],
)
async def test_only_the_sender_that_is_foreign_is_rewritten(
    house: House, envelope: str, header: str, kept_envelope: str, kept_header: str
) -> None:
    own = Address.parse("eve@example.net")
    house.has_user("eve", "example.net", mismatch=Mismatch.REWRITE, default_sender=own)
    client = await log_in(house, "eve")
    letter = f"From: {header}\r\n\r\nHello\r\n".encode()
    assert (await send(client, letter, mail=f"MAIL FROM:<{envelope}>")).startswith("250")
    assert row(house).sender == kept_envelope  # type: ignore[attr-defined]
    assert f"From: {kept_header}\r\n".encode() in stored(house)
    assert (b"Reply-To" in stored(house)) == (header != kept_header)
    await client.close()


async def test_a_from_of_ones_own_stays_when_only_other_senders_are_foreign(house: House) -> None:
    own = Address.parse("eve@example.net")
    house.has_user("eve", "example.net", mismatch=Mismatch.REWRITE, default_sender=own)
    client = await log_in(house, "eve")
    kept = b"From: The Shop <sales@example.net>\r\n" + HEAD
    others = b"Sender: boss@elsewhere.test\r\nResent-From: two@elsewhere.test\r\n"
    assert (await send(client, others + kept + BODY, mail="MAIL FROM:<sales@example.net>")).startswith("250")
    assert stored(house).endswith(kept + BODY)
    assert b"elsewhere.test" not in stored(house)
    assert row(house).mismatch == (  # type: ignore[attr-defined]
        "boss@elsewhere.test, two@elsewhere.test in the header: left out"
    )
    await client.close()


@pytest.mark.parametrize("mismatch", [Mismatch.HOLD, Mismatch.ALLOW])
async def test_what_is_held_or_allowed_is_kept_as_it_came(house: House, mismatch: Mismatch) -> None:
    has_eve(house, mismatch)
    client = await log_in(house, "eve")
    letter = b"From: boss@elsewhere.test\r\n" + HEAD + BODY
    await send(client, letter, mail="MAIL FROM:<boss@elsewhere.test>")
    assert stored(house).endswith(letter)
    await client.close()


@pytest.mark.parametrize(
    ("mismatch", "became"),
    [
        (Mismatch.ALLOW, "let through"),
        (Mismatch.HOLD, "held"),
        (Mismatch.REWRITE, "replaced by eve@example.net"),
    ],
)
async def test_the_story_tells_whose_sender_it_was_and_what_became_of_it(
    house: House, mismatch: Mismatch, became: str
) -> None:
    has_eve(house, mismatch)
    client = await log_in(house, "eve")
    letter = b"From: boss@elsewhere.test\r\nSender: two@elsewhere.test\r\n" + HEAD + BODY
    await send(client, letter, mail="MAIL FROM:<bounces@elsewhere.test>")
    assert row(house).mismatch == (  # type: ignore[attr-defined]
        f"bounces@elsewhere.test on the envelope: {became}; "
        f"boss@elsewhere.test, two@elsewhere.test in the header: {became}"
    )
    await send(client, b"From: eve@example.net\r\n" + HEAD + BODY, mail="MAIL FROM:<eve@example.net>")
    with house.engine.connect() as tx:
        told = tx.execute(select(tables.messages.c.mismatch).order_by(tables.messages.c.id)).scalars().all()
    assert told[1:] == [None]
    await client.close()


@pytest.mark.parametrize("mismatch", list(Mismatch))
async def test_one_notice_for_a_user_and_sender_within_the_hour(house: House, mismatch: Mismatch) -> None:
    has_eve(house, mismatch)
    client = await log_in(house, "eve")
    for sender in ("boss@elsewhere.test", "BOSS@elsewhere.test", "boss@elsewhere.test", "two@elsewhere.test"):
        letter = b"From: " + sender.encode() + b"\r\n" + HEAD + BODY
        await send(client, letter, mail=f"MAIL FROM:<{sender}>")
        await client.ask("RSET")
    await house.db.write(lambda _tx, items: [None for _ in items], None)  # whatever was written aside is
    assert len(notices(house.engine)) == 2
    await client.close()


@pytest.mark.parametrize(
    ("mismatch", "code"),
    [(Mismatch.REJECT, "550"), (Mismatch.ALLOW, "550"), (Mismatch.HOLD, "250"), (Mismatch.REWRITE, "250")],
)
async def test_nothing_foreign_is_sent_with_the_null_sender(
    house: House, mismatch: Mismatch, code: str
) -> None:
    has_eve(house, mismatch)
    client = await log_in(house, "eve")
    letter = b"From: boss@elsewhere.test\r\n" + HEAD + BODY
    assert (await send(client, letter, mail="MAIL FROM:<>")).startswith(code)
    if mismatch is Mismatch.REWRITE:
        assert b"From: eve@example.net\r\n" in stored(house)
    if mismatch is Mismatch.HOLD:
        assert row(house, tables.deliveries).state == "held"  # type: ignore[attr-defined]
    own = await send(client, b"From: eve@example.net\r\n" + HEAD + BODY, mail="MAIL FROM:<>")
    assert own.startswith("250")
    await client.close()


async def test_a_quota_refuses_for_now_and_the_session_goes_on(house: House) -> None:
    from relay.policy.limits import Limits
    from relay.policy.quotas import quota

    house.has_user("dan", "dan@example.net", limits=Limits(quotas=(quota("messages/day", 1),)))
    client = await log_in(house, "dan")
    letter = b"From: dan@example.net\r\n\r\nx\r\n"
    said = [await send(client, letter, mail="MAIL FROM:<dan@example.net>") for _ in range(3)]
    assert [answer[:9] for answer in said] == ["250 2.0.0", "450 4.7.1", "450 4.7.1"]
    assert row(house).user_name == "dan"  # type: ignore[attr-defined]
    await client.close()


async def test_who_sends_as_another_foreign_sender_each_time_makes_no_flood_of_letters(house: House) -> None:
    has_eve(house, Mismatch.REJECT)
    house.set("max_errors", "1000")
    house.set("max_fruitless_commands", "1000")
    client = await log_in(house, "eve")
    for number in range(MOST_OF_ONE_USER + 10):
        assert (await client.ask(f"MAIL FROM:<list+{number}@elsewhere.test>")).startswith("550")
    await client.close()
    await asyncio.gather(*house.door.handler._aside)
    assert len(notices(house.engine)) == MOST_OF_ONE_USER
