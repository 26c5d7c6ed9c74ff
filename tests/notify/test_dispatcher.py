"""Notices become letters in the queue, each once."""

import asyncio
import email
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.policy import default

import pytest
from sqlalchemy import Connection, insert, select

from relay.current import Current
from relay.db.database import Database
from relay.db.tables import contents, messages, notices, recipients, users
from relay.notify.dispatcher import LOOK_EVERY, Dispatcher
from relay.notify.mismatch import KIND
from relay.queue.items import Notice
from relay.queue.notices import note
from relay.routing.routes import Leg, Route, RoutingTable
from relay.settings import Settings
from tests.kit.clock import NOON, HandClock
from tests.kit.makers import new_id

DEFAULT = Route("01ROUTE", "default", None, (Leg("01UPSTREAM"),))
OWN = Route("01OWN", "ann's", "01USER", (Leg("01UPSTREAM"),))
FACTS = {
    "user": "ann",
    "sender": "boss@bank.example",
    "outcome": "refused",
    "client": "192.0.2.7",
    "helo": "x",
}


class Office:
    """A dispatcher, and what it looks at."""

    def __init__(self, db: Database, clock: HandClock) -> None:
        self.db = db
        self.settings = Current(Settings(operator_address="op@example.com"))
        self.routing = Current(RoutingTable(routes=(DEFAULT,), default=DEFAULT))
        self.dispatcher = self.another(clock)

    def another(self, clock: HandClock) -> Dispatcher:
        return Dispatcher(
            self.db,
            clock,
            settings=self.settings,
            routing=self.routing,
            hostname="mx.example.com",
            new_id=new_id,
        )

    async def note(self, *, user_id: str | None = "01USER", kind: str = KIND) -> None:
        assert await self.db.write(note, Notice(new_id(NOON), kind, user_id, FACTS))

    async def letters(self) -> list[tuple[str, str]]:
        """To whom, and what about."""
        return await self.db.read(_letters)

    async def untold(self) -> int:
        return await self.db.read(_untold)

    async def all_told(self, meanwhile: Callable[[], None]) -> None:
        """Wait until nothing is left to tell."""
        while await self.untold():
            meanwhile()
            await asyncio.sleep(0.01)


def _letters(tx: Connection) -> list[tuple[str, str]]:
    query = select(recipients.c.address, messages.c.subject).join_from(messages, recipients)
    return [(row.address, row.subject) for row in tx.execute(query.order_by(messages.c.id))]


def _untold(tx: Connection) -> int:
    return len(tx.execute(select(notices.c.id).where(notices.c.told_at.is_(None))).all())


def _add_user(tx: Connection, items: Sequence[str]) -> list[None]:
    for contact in items:
        tx.execute(insert(users).values(id="01USER", name="ann", contact_address=contact, created_at=NOON))
    return [None] * len(items)


@pytest.fixture
async def office(db: Database, clock: HandClock) -> Office:
    await db.write(_add_user, "ann@example.com")
    return Office(db, clock)


SUBJECT = "ann tried to send mail as boss@bank.example"


async def test_user_and_operator_are_told_once(office: Office) -> None:
    await office.note()
    assert await office.dispatcher.look() == 1
    assert await office.letters() == [("ann@example.com", SUBJECT), ("op@example.com", SUBJECT)]
    assert await office.untold() == 0
    assert await office.dispatcher.look() == 0
    assert len(await office.letters()) == 2


async def test_a_letter_is_mail_from_nobody_that_no_machine_answers(office: Office) -> None:
    await office.note()
    await office.dispatcher.look()

    def read(tx: Connection) -> tuple[str, str, bytes]:
        query = select(messages.c.sender, messages.c.origin, contents.c.content).join_from(messages, contents)
        sender, origin, content = tx.execute(query).first() or ("?", "?", b"")
        return sender, origin, bytes(content)

    sender, origin, content = await office.db.read(read)
    assert (sender, origin) == ("", "notice")
    letter = email.message_from_bytes(content, policy=default)
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "boss@bank.example" in letter.get_content()


async def test_a_notice_that_nobody_wants_is_done_with(office: Office) -> None:
    office.settings.value = Settings()
    await office.note(user_id=None)
    await office.note(kind="of-another-version")
    assert await office.dispatcher.look() == 2
    assert await office.letters() == []
    assert await office.untold() == 0


@pytest.mark.parametrize("address", ["", "  ", "nobody", "<op@example.com>"])
async def test_an_operator_without_a_usable_address_is_not_told(office: Office, address: str) -> None:
    office.settings.value = replace(office.settings.value, operator_address=address)
    await office.note()
    await office.dispatcher.look()
    assert [to for to, _ in await office.letters()] == ["ann@example.com"]


async def test_many_looking_at_once_tell_once(office: Office, clock: HandClock) -> None:
    for _ in range(5):
        await office.note()
    told = await asyncio.gather(*(office.another(clock).look() for _ in range(4)))
    assert sum(told) == 5
    assert len(await office.letters()) == 10


async def test_what_has_no_way_yet_waits_for_one(office: Office) -> None:
    office.routing.value = RoutingTable()
    await office.note()
    assert await office.dispatcher.look() == 0
    assert await office.untold() == 1
    office.routing.value = RoutingTable(routes=(OWN,))
    assert await office.dispatcher.look() == 1
    assert len(await office.letters()) == 2


async def test_many_that_have_no_way_hold_up_none_that_have_one(office: Office) -> None:
    office.routing.value = RoutingTable(routes=(OWN,))
    for _ in range(120):
        await office.note(user_id=None)
    await office.note()
    assert await office.dispatcher.look() == 1
    assert await office.untold() == 120


async def test_it_looks_by_itself(office: Office, clock: HandClock) -> None:
    running = asyncio.create_task(office.dispatcher.run())
    try:
        await office.note()
        await office.all_told(lambda: clock.turn(LOOK_EVERY))
        await office.note()
        await office.all_told(lambda: clock.turn(LOOK_EVERY))
    finally:
        running.cancel()
    assert len(await office.letters()) == 4
