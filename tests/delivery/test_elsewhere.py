"""What one upstream of a route cannot carry goes to the next at once, and fails only if none can."""

from datetime import timedelta
from typing import Any

import pytest

from relay.db.database import Database
from relay.delivery.classify import is_our_own
from relay.mail.envelope import Envelope
from relay.mail.reply import Reply
from relay.queue.accept import accept
from relay.routing.limits import Limits
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import Office
from tests.kit.upstream import FakeUpstream

LARGE = LETTER + b"x" * 900 + b"\r\n" + b"x" * 900 + b"\r\n"
SMALL = ("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8")
ASCII_ONLY = ("PIPELINING", "SIZE 52428800", "8BITMIME")


def an_office(db: Database, one: FakeUpstream, other: FakeUpstream, **of_other: Any) -> Any:
    """An office whose route leads to *one*, then to *other*."""
    first = upstream_at(one.port, name="first")
    return Office(db, first, upstream_at(other.port, id="U2", name="second", **of_other)).open()


async def sent(office: Office, content: bytes = LARGE, envelope: Envelope | None = None) -> str:
    """Accept a message, and let the worker look."""
    acceptance = office.acceptance(envelope or envelope_to("bob"), content)
    await office.db.write(accept, acceptance)
    office.worker.wake()
    return acceptance.id


async def test_what_is_too_large_for_one_goes_to_the_next_at_once(db: Database) -> None:
    async with FakeUpstream(SMALL) as one, FakeUpstream() as other, an_office(db, one, other) as office:
        message = await sent(office)
        await office.until_state(message, "done")
        assert [(a.number, a.upstream) for a in await office.attempts(message)] == [(1, "second")]
        assert (await office.ends(message))[1][0] == "delivered"
    assert not [command for command in one.commands if command.startswith("MAIL")]
    assert len(other.taken) == 1


@pytest.mark.parametrize(
    ("envelope", "content", "offers"),
    [
        (envelope_to("bob"), LETTER + b"caf\xc3\xa9\r\n" + b"-" * 5 + b"\r\n", ("SIZE 5000",)),
        (envelope_to("böb", smtputf8=True), LETTER, ASCII_ONLY),
    ],
)
async def test_so_does_what_needs_an_extension_that_only_the_next_has(
    db: Database, envelope: Envelope, content: bytes, offers: tuple[str, ...]
) -> None:
    signed = b"DKIM-Signature: v=1; d=example.com\r\n" + content  # so that nothing is encoded on the way
    async with FakeUpstream(offers) as one, FakeUpstream() as other, an_office(db, one, other) as office:
        message = await sent(office, signed, envelope)
        await office.until_state(message, "done")
        assert [a.upstream for a in await office.attempts(message)] == ["second"]
    assert (len(one.taken), len(other.taken)) == (0, 1)


async def test_it_fails_with_the_last_reason_if_none_can_carry_it(db: Database) -> None:
    async with (
        FakeUpstream(SMALL) as one,
        FakeUpstream(ASCII_ONLY) as other,
        an_office(db, one, other) as office,
    ):
        message = await sent(office, LARGE, envelope_to("böb", smtputf8=True))
        await office.until_state(message, "done")
        (attempt,) = await office.attempts(message)
        assert (attempt.upstream, attempt.reply[:9]) == ("second", "550 5.6.7")
        assert (await office.ends(message))[1][0] == "failed"


async def test_it_waits_for_one_that_may_carry_it_but_is_down(db: Database) -> None:
    async with FakeUpstream(SMALL) as one, FakeUpstream() as other:
        other.on("CONNECT", "554 No", times=1)
        async with an_office(db, one, other) as office:
            message = await sent(office)
            await office.until_state(message, "waiting")
            (end,) = (await office.ends(message)).values()
            said = "552 5.3.4 The message is larger than the upstream accepts"
            told = f'452 4.5.3 It waits for another upstream: first cannot carry it ("{said}")'
            assert end == ("open", told)
            assert is_our_own(Reply.parse(452, [told[4:]])), "no report puts it into the mouth of a server"
            await office.turn(timedelta(hours=1))
            await office.until_state(message, "done")
            assert (await office.ends(message))[1][0] == "delivered"
    assert len(other.taken) == 1


async def test_whom_one_cannot_serve_the_next_serves_and_each_is_served_once(db: Database) -> None:
    async with FakeUpstream(ASCII_ONLY) as one, FakeUpstream() as other, an_office(db, one, other) as office:
        message = await sent(office, LETTER, envelope_to("cid", "böb", "dan", smtputf8=True))
        await office.until_settled(message)
        assert {state for state, _ in (await office.ends(message)).values()} == {"delivered"}
    served = [[rcpt for taken in upstream.taken for rcpt in taken.rcpts] for upstream in (one, other)]
    assert served == [
        ["RCPT TO:<cid@example.net>", "RCPT TO:<dan@example.net>"],
        ["RCPT TO:<böb@example.net>"],
    ]


async def test_a_limit_set_here_counts_like_an_offer(db: Database) -> None:
    of_other = {"limits": Limits(octets=1000)}
    async with (
        FakeUpstream(SMALL) as one,
        FakeUpstream() as other,
        an_office(db, one, other, **of_other) as office,
    ):
        message = await sent(office)
        await office.until_state(message, "done")
        (attempt,) = await office.attempts(message)
        assert (attempt.upstream, attempt.reply[:9]) == ("first", "552 5.3.4")
        assert not other.connections


@pytest.mark.parametrize("said", ["451 4.7.1 Slow down", "432 4.3.2 Busy", "421 4.7.0 Too many messages"])
async def test_what_one_wants_less_of_goes_to_the_next_at_once(db: Database, said: str) -> None:
    async with FakeUpstream() as one, FakeUpstream() as other:
        one.on("DOT", said)
        async with an_office(db, one, other) as office:
            message = await sent(office)
            await office.until_state(message, "done")
            assert [a.upstream for a in await office.attempts(message)] == ["second"]


async def test_if_all_want_less_it_waits_for_a_retry(db: Database) -> None:
    async with FakeUpstream() as one, FakeUpstream() as other:
        for upstream in (one, other):
            upstream.on("DOT", "451 4.7.1 Slow down", times=1)
        async with an_office(db, one, other) as office:
            message = await sent(office)
            await office.until_state(message, "waiting")
            assert [len(one.transactions), len(other.transactions)] == [1, 1]
            await office.turn(timedelta(hours=1))
            await office.until_state(message, "done")
            assert [a.upstream for a in await office.attempts(message)] == ["second", "first"]


async def test_what_one_wants_later_and_the_other_cannot_carry_is_not_given_up(db: Database) -> None:
    async with FakeUpstream() as one, FakeUpstream(SMALL) as other:
        one.on("DOT", "451 4.7.1 Slow down", times=1)
        async with an_office(db, one, other) as office:
            message = await sent(office)
            await office.until_state(message, "waiting")
            await office.turn(timedelta(hours=1))
            await office.until_state(message, "done")
    assert (len(one.taken), len(other.taken)) == (1, 0)
