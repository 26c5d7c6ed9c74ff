"""Telling senders that their mail is late: looked for about once a second, like all that time brings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from relay.db.database import Database
from relay.delivery.attempt import announce
from relay.delivery.fates import last_fate
from relay.delivery.reports import reports_of
from relay.delivery.rules import Rules
from relay.mail.reply import Reply
from relay.notify.report import Action
from relay.queue.content import read_content
from relay.queue.items import Acceptance
from relay.queue.last_words import LastWords, last_words
from relay.queue.late import Late, LateTold, find_late, tell_late

_AT_ONCE = 100  # at each look, so that mail need not wait for it


async def tell_of_delays(db: Database, now: datetime, rules: Rules) -> int:
    """Report some of what waits beyond its sender's patience; return how many reports there are."""
    found = await db.read(find_late, now, _AT_ONCE)
    if not found:
        return 0
    last = await db.read(last_words, [late.claimed.key for late in found], rules.routing, now)
    reports: list[LateTold] = []
    for late in found:
        if late.claimed.key not in last:
            continue  # it is gone meanwhile
        content = late.claimed.content
        if content is None:
            content = await db.read(read_content, late.claimed.key.message_id)
        report = _report(late, last[late.claimed.key], content or b"", now, rules)
        reports.append(LateTold(late.claimed.key, late.late_at, report))
    # Together, or each would wait for a commit of its own.
    are_mine = await asyncio.gather(*[db.write(tell_late, each) for each in reports])
    told = [each.report for each, is_mine in zip(reports, are_mine, strict=True) if is_mine and each.report]
    for report in told:
        announce(report)
    return len(told)


def _report(late: Late, last: LastWords, content: bytes, now: datetime, rules: Rules) -> Acceptance | None:
    envelope = late.claimed.envelope
    is_due = envelope.by_mode in {"N", "NT"}  # RFC 2852 §4: whatever NOTIFY does not ask for
    waits = Reply(451, "4.0", last.why)
    fates = [replace(last_fate(recipient, last, waits), is_due=is_due) for recipient in envelope.recipients]
    reports = reports_of(late.claimed, content, {Action.DELAYED: fates}, now, rules)
    return reports[0] if reports else None
