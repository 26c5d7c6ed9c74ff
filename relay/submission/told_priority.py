"""What the answer to MAIL says of the priority that was asked for (RFC 6710 §4.1, RFC 3463 X.3.6)."""

from __future__ import annotations

from relay.mail.priority import combine, from_mt_priority, to_mt_priority
from relay.mail.reply import Reply
from relay.policy.submission import User
from relay.submission import replies


def sender_ok(user: User, asked: int | None) -> Reply:
    """Agree to the sender, and say so if the priority will not be the one that was asked for."""
    if asked is None:
        return replies.SENDER_OK
    wanted = from_mt_priority(asked)
    given = combine(user.default_priority, (wanted,), user.highest_priority)
    if given is wanted:
        return replies.SENDER_OK
    return replies.PRIORITY_CHANGED.saying(f"{to_mt_priority(given)} is the new priority of the message")
