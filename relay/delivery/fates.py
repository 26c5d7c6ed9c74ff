"""What reports say of mail that no attempt ended just now: the last word about each, and whose it was."""

from __future__ import annotations

from relay.delivery.classify import is_our_own
from relay.mail.envelope import Recipient
from relay.mail.reply import Reply
from relay.notify.report import Fate
from relay.queue.last_words import LastWords


def last_fate(recipient: Recipient, last: LastWords, untried: Reply) -> Fate:
    """The last word about *recipient*; *untried* is what is said where there was none."""
    reply = last.replies.get(recipient.number)
    if reply is None:
        return Fate(recipient, untried, is_untried=True)
    host, is_server, _ = (last.remote or "").partition(" [")  # else a service, which says nothing in SMTP
    is_theirs = bool(is_server) and not is_our_own(reply)
    return Fate(recipient, reply, remote=host if is_theirs else None, tried_at=last.tried_at)
