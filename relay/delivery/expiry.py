"""What was tried for too long: the end of it, with the report to whoever sent it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from relay.delivery.archive import lost_copies
from relay.delivery.fates import last_fate
from relay.delivery.reports import reports_of
from relay.delivery.rules import Rules
from relay.mail.disposition import Disposition, Outcome
from relay.mail.reply import Reply
from relay.notify.report import Action
from relay.queue.items import AttemptRecord, Claimed, Settlement
from relay.queue.last_words import LastWords


def settlement_of_expired(
    claimed: Claimed, content: bytes, last: LastWords, now: datetime, rules: Rules
) -> Settlement:
    """Give *claimed* up: nobody refused it, but the time for trying is over (RFC 3463 §3.5, X.4.7).

    Its sender gets the *last* word about each recipient; what was never tried, why it was not.
    """
    recipients = claimed.envelope.recipients
    over = f"Not delivered within {_in_words(now - claimed.accepted_at)}"
    untried = Reply(451, "4.7", f"{over}: {last.why}")
    fates = [replace(last_fate(r, last, untried), is_expired=True) for r in recipients]
    replies = {
        fate.recipient.number: untried if fate.is_untried else Reply(451, "4.7", f"{over}: {fate.reply}")
        for fate in fates
    }
    first = replies[recipients[0].number]
    news = {} if last.is_of_stranger else {Action.FAILED: fates}
    return Settlement(
        claimed=claimed,
        record=AttemptRecord(upstream=None, started_at=now, finished_at=now, reply=first),
        outcomes=tuple(Outcome(n, Disposition.FAILED, reply) for n, reply in replies.items()),
        bounces=reports_of(claimed, content, news, now, rules),
        notices=lost_copies(claimed, first, now, rules),
        is_expired=True,
    )


def _in_words(span: timedelta) -> str:
    """A span in the largest unit that it has two of at least: "4 hours"."""
    seconds = max(round(span.total_seconds()), 0)
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"
