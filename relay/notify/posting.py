"""How our own letters come into the queue: with the null sender, and never reported on themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from relay.mail.address import Address
from relay.mail.envelope import Body, Envelope, Recipient
from relay.mail.priority import Priority
from relay.queue.items import Acceptance, Origin
from relay.queue.parts import divide
from relay.queue.rank import rank_at
from relay.settings import Settings

# Plans the way of an envelope: the numbers of its recipients, by route.
RouteOf = Callable[[Envelope], Mapping[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter of ours, written and addressed."""

    id: str
    to: Address
    subject: str
    content: bytes


def post(
    letter: Letter,
    *,
    origin: Origin,
    hostname: str,
    now: datetime,
    settings: Settings,
    route_of: RouteOf,
    about: str | None = None,
) -> Acceptance:
    """Make of *letter* what the queue accepts.  SMTPUTF8 is asked for only where the address needs it.

    *about* is the id of the message that it reports on, if it does.
    """
    envelope = Envelope(
        sender=Address.NULL,
        recipients=(Recipient(1, letter.to, notify="NEVER"),),
        body=Body.SEVEN_BIT if letter.content.isascii() else Body.EIGHT_BIT,
        smtputf8=not letter.to.plainest.isascii(),
    )
    priority = Priority.NORMAL
    return Acceptance(
        id=letter.id,
        accepted_at=now,
        expires_at=settings.schedule.gives_up_at(now),
        origin=origin,
        envelope=envelope,
        content=letter.content,
        priority=priority,
        parts=divide(route_of(envelope), at_most=1, due_at=now, rank_at=rank_at(now, priority, settings)),
        header_from=f"postmaster@{hostname}",
        subject=letter.subject[:255],
        message_id_field=f"<{letter.id}@{hostname}>",
        about=about,
    )
