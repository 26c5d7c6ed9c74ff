"""The notification that somebody guesses at a user's password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from relay.mail.session import Session
from relay.queue.items import Notice
from relay.settings import Settings

KIND = "account_attacked"


def attack_notice(
    user_id: str,
    user: str,
    *,
    facts: Session,
    now: datetime,
    new_id: Callable[[datetime], str],
    settings: Settings,
) -> Notice:
    """Note that logins as *user* failed so often that strangers are barred, the last of them as *facts* say.

    Told once per user in `settings.notice_interval`.
    """
    minutes = max(1, round(settings.login_lockout.total_seconds() / 60))
    return Notice(
        id=new_id(now),
        kind=KIND,
        user_id=user_id,
        facts={
            "user": user,
            "failures": str(settings.login_failures_per_user),
            "minutes": str(minutes),
            "client": facts.peer_address,
            "helo": facts.helo[:255],
            "listener": facts.listener,
        },
        key=f"{KIND}:{user_id}",
        interval=settings.notice_interval,
    )
