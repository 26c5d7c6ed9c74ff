"""The sender-domain notification: somebody sent as an address that is not his."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from relay.mail.session import Session
from relay.policy.decision import Accept, Decision, Hold, Omit, Reject, Rewrite, SenderMismatch
from relay.policy.submission import User
from relay.queue.items import Notice
from relay.settings import Settings

KIND = "sender_mismatch"

_OUTCOMES = {Accept: "sent", Omit: "omitted", Rewrite: "rewritten", Hold: "held", Reject: "refused"}


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
