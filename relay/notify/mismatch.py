"""The sender-domain notification: somebody sent as an address that is not his."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from relay.mail.address import Address
from relay.mail.session import Session
from relay.policy.decision import Accept, Decision, Hold, Omit, Reject, Rewrite, SenderMismatch
from relay.policy.submission import User
from relay.queue.items import Notice
from relay.settings import Settings

KIND = "sender_mismatch"

_OUTCOMES = {Accept: "sent", Omit: "omitted", Rewrite: "rewritten", Hold: "held", Reject: "refused"}

MOST_OF_ONE_USER = 50  # different senders in an interval: beyond, another letter tells nothing new


@dataclass(slots=True)
class _Seen:
    since: datetime
    senders: set[str] = field(default_factory=set)


class Strangers:
    """The foreign senders of each user that one process saw of late, so that thousands make no flood.

    A mailing list sends as another address to each of its readers, and whoever has stolen a password as
    anybody.
    """

    def __init__(self) -> None:
        self._of: dict[str, _Seen] = {}

    def is_among_few(self, user: User, sender: Address, now: datetime, interval: timedelta) -> bool:
        """Whether *sender* is one of the first MOST_OF_ONE_USER of *user* in an *interval*."""
        seen = self._of.get(user.id)
        if seen is None or not seen.since <= now < seen.since + interval:
            seen = self._of[user.id] = _Seen(now)
        if len(seen.senders) < MOST_OF_ONE_USER:
            seen.senders.add(sender.key)
        return sender.key in seen.senders


def sender_mismatch_notice(
    user: User,
    mismatch: SenderMismatch,
    *,
    session: Session,
    decision: Decision,
    now: datetime,
    new_id: Callable[[datetime], str],
    settings: Settings,
) -> Notice:
    """Note that *user* sent as a foreign address, and what *decision* made of the message.

    Told once per user and sender in `settings.notice_interval`, however often it happens.
    """
    return Notice(
        id=new_id(now),
        kind=KIND,
        user_id=user.id,
        facts={
            "user": user.name,
            "sender": str(mismatch.sender),
            "outcome": _OUTCOMES[type(decision)],
            "client": session.peer_address,
            "helo": session.helo[:255],
            "listener": session.listener,
        },
        key=f"{KIND}:{user.id}:{mismatch.sender.key}",
        interval=settings.notice_interval,
    )
