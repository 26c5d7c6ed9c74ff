"""Telling: notices that nobody was told yet become letters in the queue.

Letter and mark are written in one transaction, so that each notice is told once, however many
processes look at the same time and whenever one of them dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from relay import log
from relay.accounts.contacts import contact_addresses
from relay.clock import Clock
from relay.current import Current
from relay.db.database import Database
from relay.mail.address import Address, BadAddress
from relay.notify.announce import Announcement, announcements
from relay.notify.compose import letter, text_entity
from relay.notify.posting import Letter, post
from relay.queue.accept import accept
from relay.queue.items import Acceptance, Notice, Origin
from relay.queue.notices import Told, mark_told, untold
from relay.routing.routes import NoRoute, RoutingTable, plan
from relay.settings import Settings

LOOK_EVERY = timedelta(seconds=10)
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Telling:
    """A notice, how it is marked as told, and the letters that tell it."""

    notice: Notice
    told: Told
    letters: tuple[Acceptance, ...]


def tell(tx: Connection, items: Sequence[Telling]) -> list[bool]:
    """Mark notices as told and queue their letters; False for each that another process told before."""
    mine = mark_told(tx, [item.told for item in items])
    accept(tx, [each for item, is_mine in zip(items, mine, strict=True) if is_mine for each in item.letters])
    return mine


class Dispatcher:
    """Looks for notices now and then, and mails them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        settings: Current[Settings],
        routing: Current[RoutingTable],
        hostname: str,
        new_id: Callable[[datetime], str],
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._routing = routing
        self._hostname = hostname
        self._new_id = new_id

    async def run(self) -> None:
        """Tell what there is to tell, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> int:
        """Tell what there is to tell, the oldest first; return how many notices were told now."""
        told, after = 0, ""
        while True:
            notices, contacts = await self._db.read(_read, _AT_ONCE, after)
            told += await self._tell(notices, contacts)
            if len(notices) < _AT_ONCE:
                return told
            after = notices[-1].id

    async def _tell(self, notices: Sequence[Notice], contacts: Mapping[str, Address]) -> int:
        operator = self._operator() if notices else None
        tellings: list[Telling] = []
        for notice in notices:
            wanted = announcements(
                notice,
                contact=contacts.get(notice.user_id or ""),
                operator=operator,
                hostname=self._hostname,
            )
            try:
                letters = tuple(self._posted(each, notice.user_id) for each in wanted)
            except NoRoute:
                continue  # told when there is somewhere to send to
            tellings.append(Telling(notice, Told(notice.id, self._clock.now()), letters))
        told = await asyncio.gather(*(self._db.write(tell, telling) for telling in tellings))
        for telling, is_mine in zip(tellings, told, strict=True):
            if is_mine:
                _log(telling)
        return sum(told)

    def _operator(self) -> Address | None:
        written = self._settings.value.operator_address.strip()
        try:
            return Address.parse(written) if written else None
        except BadAddress as fault:
            log.fault("operator_address", fault)
            return None

    def _posted(self, announcement: Announcement, user_id: str | None) -> Acceptance:
        now = self._clock.now()
        letter_id = self._new_id(now)
        content = letter(
            text_entity(announcement.text),
            letter_id=letter_id,
            to=announcement.to,
            subject=announcement.subject,
            hostname=self._hostname,
            now=now,
            automatic="auto-generated",
        )
        return post(
            Letter(letter_id, announcement.to, announcement.subject, content),
            origin=Origin.NOTICE,
            hostname=self._hostname,
            now=now,
            settings=self._settings.value,
            route_of=lambda envelope: plan(self._routing.value, envelope, user_id),
        )


def _read(tx: Connection, limit: int, after: str) -> tuple[list[Notice], Mapping[str, Address]]:
    notices = untold(tx, limit, after)
    users = {notice.user_id for notice in notices if notice.user_id}
    return notices, contact_addresses(tx, users) if users else {}


def _log(telling: Telling) -> None:
    for each in telling.letters:
        (reader,) = each.envelope.recipients
        log.notice_told(notice=telling.notice.id, kind=telling.notice.kind, to=str(reader.address))
