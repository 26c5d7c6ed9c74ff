"""Giving mail up on an operator's word: it ends as failed, and its sender, if it wants to, hears why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection

from relay.delivery.reports import reports_of
from relay.delivery.rules import Rules
from relay.mail.disposition import Disposition, Outcome
from relay.mail.reply import Reply
from relay.notify.report import Action, Fate
from relay.queue.conditions import IS_RESTING
from relay.queue.content import read_content
from relay.queue.items import AttemptRecord, Claimed, Lease, Settlement
from relay.queue.last_words import LastWords, last_words
from relay.queue.leasing import LEASABLE, lease_rows
from relay.queue.orders import find
from relay.queue.selection import Selection
from relay.queue.settle import settle

AT_MOST = 50
"""How many deliveries one call gives up, since a report quotes the letter; call again until it is fewer."""


@dataclass(frozen=True, slots=True)
class FailNow:
    """End deliveries as failed; `reason` is told to their senders, in the report that *rules* make."""

    selection: Selection
    now: datetime
    reason: str
    rules: Rules

    @property
    def standing(self) -> ColumnElement[bool]:
        """See `relay.queue.orders.Order`."""
        return IS_RESTING


class GivenUp(NamedTuple):
    """How many deliveries ended as failed, and how many reports their senders get: some want none."""

    deliveries: int
    reports: int


def fail_now(tx: Connection, items: Sequence[FailNow]) -> list[GivenUp]:
    """Fail deliveries, with the reports that their senders asked for; return how many, for each order."""
    return [_fail_now(tx, item) for item in items]


def _fail_now(tx: Connection, item: FailNow) -> GivenUp:
    found = find(tx, item, LEASABLE, AT_MOST)
    # Leased only within this transaction: nobody ever sees it, and there is nothing to run out.
    lease = Lease("an operator", item.now + timedelta(minutes=1))
    reports = 0
    for claimed in lease_rows(tx, found, lease):
        last = last_words(tx, [claimed.key], item.rules.routing, item.now)[claimed.key]
        (settled,) = settle(tx, [_settlement(item, claimed, _content_of(tx, claimed), last)])
        reports += len(settled.accepted)
    return GivenUp(len(found), reports)


def _content_of(tx: Connection, claimed: Claimed) -> bytes:
    if claimed.content is not None:
        return claimed.content
    return read_content(tx, claimed.key.message_id) or b""


def _settlement(item: FailNow, claimed: Claimed, content: bytes, last: LastWords) -> Settlement:
    reply = Reply(554, "0.0", item.reason)
    recipients = claimed.envelope.recipients
    fates = [
        Fate(r, reply, by_operator=True, tried_at=last.tried_at, is_untried=last.tried_at is None)
        for r in recipients
    ]
    news = {} if last.is_of_stranger else {Action.FAILED: fates}
    return Settlement(
        claimed=claimed,
        record=AttemptRecord(upstream=None, started_at=item.now, finished_at=item.now, reply=reply),
        outcomes=tuple(Outcome(recipient.number, Disposition.FAILED, reply) for recipient in recipients),
        bounces=reports_of(claimed, content, news, item.now, item.rules),
    )
