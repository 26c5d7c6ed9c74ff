"""What was tried for too long: the end of it, with the report to whoever sent it."""

from __future__ import annotations

from datetime import datetime

from relay.delivery.archive import lost_copies
from relay.delivery.reports import reports_of
from relay.delivery.rules import Rules
from relay.mail.disposition import Disposition, Outcome
from relay.mail.reply import Reply
from relay.notify.report import Action, Fate
from relay.queue.items import AttemptRecord, Claimed, Settlement


def settlement_of_expired(claimed: Claimed, content: bytes, now: datetime, rules: Rules) -> Settlement:
    """Give *claimed* up: nobody refused it, but the time for trying is over (RFC 3463 §3.5, X.4.7)."""
    hours = (now - claimed.accepted_at).total_seconds() / 3600
    reply = Reply(451, "4.7", f"Not delivered within {hours:.0f} hours; giving up")
    recipients = claimed.envelope.recipients
    fates = [Fate(recipient, reply, is_expired=True) for recipient in recipients]
    return Settlement(
        claimed=claimed,
        record=AttemptRecord(upstream=None, started_at=now, finished_at=now, reply=reply),
        outcomes=tuple(Outcome(recipient.number, Disposition.FAILED, reply) for recipient in recipients),
        bounces=reports_of(claimed, content, {Action.FAILED: fates}, now, rules),
        notices=lost_copies(claimed, reply, now, rules),
        is_expired=True,
    )
