"""Telling senders that their mail is late: looked for about once a second, like all that time brings."""

from __future__ import annotations

from datetime import datetime

from relay.db.database import Database
from relay.delivery.attempt import announce
from relay.delivery.reports import reports_of
from relay.delivery.rules import Rules
from relay.mail.reply import Reply
from relay.notify.report import Action, Fate
from relay.queue.content import read_content
from relay.queue.items import Acceptance
from relay.queue.late import Late, LateTold, find_late, tell_late

_AT_ONCE = 50


async def tell_of_delays(db: Database, now: datetime, rules: Rules) -> int:
    """Report what waits beyond its sender's patience; return how many reports there are."""
    told = 0
    for late in await db.read(find_late, now, _AT_ONCE):
        content = late.claimed.content
        if content is None:
            content = await db.read(read_content, late.claimed.key.message_id)
        report = _report(late, content or b"", now, rules)
        is_mine = await db.write(tell_late, LateTold(late.claimed.key, late.late_at, report))
        if is_mine and report is not None:
            announce(report)
            told += 1
    return told


def _report(late: Late, content: bytes, now: datetime, rules: Rules) -> Acceptance | None:
    envelope = late.claimed.envelope
    waits = Reply(451, "4.0", late.reason or "It waits for its turn")
    is_due = envelope.by_mode in {"N", "NT"}  # RFC 2852 §4: whatever NOTIFY does not ask for
    fates = [
        Fate(recipient, late.words.get(recipient.number, waits), is_due=is_due)
        for recipient in envelope.recipients
    ]
    reports = reports_of(late.claimed, content, {Action.DELAYED: fates}, now, rules)
    return reports[0] if reports else None
