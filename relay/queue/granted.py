"""Mail that is held because a sender is not its user's.

It flows once that one is granted: in its old place, and only if nothing foreign is left in it.  Until then
its sender, to whom a report on it would go, may be a stranger who has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from relay.accounts.credentials import load_login
from relay.db.tables import contents, deliveries, messages
from relay.mail.address import Address
from relay.mail.envelope import Envelope
from relay.mail.header import BadHeader, scan
from relay.mail.session import Session
from relay.policy.checks.header_from import header_from_is_granted
from relay.policy.checks.sender import sender_is_granted
from relay.policy.decision import ACCEPT
from relay.policy.mismatch import held_because
from relay.policy.submission import Limits, Submission, User
from relay.queue.conditions import IS_HELD
from relay.queue.control import ReleaseHeld, release_held
from relay.queue.selection import Selection

AT_MOST = 100
"""How many messages one call looks at; call again, from where it ended."""


@dataclass(frozen=True, slots=True)
class Regrant:
    """*user* was granted another sender: let go what was held for lack of it, behind message *after*."""

    user: str
    now: datetime
    after: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """How many deliveries flow again, and the message to go on behind; None: that was all."""

    deliveries: int
    after: str | None


_HELD = (
    select(messages.c.id, messages.c.sender)
    .join(deliveries, deliveries.c.message_id == messages.c.id)
    .where(
        IS_HELD,
        messages.c.user_id == bindparam("user_id"),
        messages.c.id > bindparam("after"),
        func.substr(deliveries.c.reason, 1, bindparam("length")) == bindparam("because"),
    )
    .distinct()
    .order_by(messages.c.id)
    .limit(AT_MOST)
)
_CONTENT = select(contents.c.content).where(contents.c.message_id == bindparam("message_id"))


def release_granted(tx: Connection, items: Sequence[Regrant]) -> list[Released]:
    """Release messages of which every sender is granted by now; the policy is asked as at the door."""
    return [_release(tx, item) for item in items]


def is_of_stranger(
    tx: Connection, *, user: str | None, sender: str, reason: str | None, now: datetime
) -> bool:
    """Whether mail of *user* that waits for that *reason* is held, and *sender* still not granted."""
    if user is None or held_because(user, "") not in (reason or ""):
        return False
    login = load_login(tx, user, now)
    return login is None or not login.user.grants.allow(Address.parse_path(sender))


def _release(tx: Connection, item: Regrant) -> Released:
    login = load_login(tx, item.user, item.now)
    if login is None:
        return Released(0, None)
    because = held_because(login.user.name, "")
    known = {"user_id": login.user.id, "after": item.after, "because": because, "length": len(because)}
    found = tx.execute(_HELD, known).all()
    free = tuple(row.id for row in found if _is_granted(tx, login.user, row.id, row.sender))
    released = release_held(tx, [ReleaseHeld(Selection(message_ids=free), item.now)])[0] if free else 0
    return Released(released, found[-1].id if len(found) == AT_MOST else None)


def _is_granted(tx: Connection, user: User, message_id: str, sender: str) -> bool:
    content = tx.execute(_CONTENT, {"message_id": message_id}).scalar()
    if content is None:
        return False
    try:
        header = scan(content)
    except BadHeader:
        return False
    submission = Submission(
        session=Session("", "", ""),
        envelope=Envelope(Address.parse_path(sender)),
        user=user,
        limits=Limits(),
        header=header,
        octets=len(content),
    )
    return sender_is_granted(submission) == ACCEPT and header_from_is_granted(submission) == ACCEPT
