"""Makers of what the queue is given, with everything filled in that a test does not care about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from relay.ids import id_source
from relay.mail.address import Address
from relay.mail.disposition import Outcome, disposition_of
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.queue.items import Acceptance, AttemptRecord, Claimed, Lease, Notice, Origin, Part, Settlement
from relay.queue.rank import rank_at
from relay.settings import Settings
from tests.kit.clock import NOON

CONTENT = b"From: ann@example.com\r\nTo: bob@example.net\r\nSubject: Tea\r\n\r\nAt five.\r\n"
DELIVERED = Reply(250, "2.0.0"[2:], "Taken")
DEFERRED = Reply(451, "3.0", "Not now")
FAILED = Reply(550, "1.1", "No such user")
ROUTE = "default"

new_id = id_source()


def make_envelope(
    sender: str = "ann@example.com", recipients: Iterable[str] = ("bob@example.net",), **facts: Any
) -> Envelope:
    """An envelope from *sender* ("" for the null one) to *recipients*; *facts* are further fields of it."""
    return Envelope(
        Address.parse_path(sender),
        tuple(Recipient(number, Address.parse(text)) for number, text in enumerate(recipients, 1)),
        **facts,
    )


def make_session(**facts: Any) -> Session:
    """A session of nobody in particular; name a `user_id` only if there is such a user."""
    known = {"id": "s1", "listener": "submission", "peer_address": "192.0.2.7", "helo": "laptop.example.com"}
    return Session(**{**known, **facts})


def make_acceptance(
    *,
    at: datetime = NOON,
    envelope: Envelope | None = None,
    content: bytes = CONTENT,
    priority: Priority = Priority.NORMAL,
    route_id: str = ROUTE,
    due_at: datetime | None = None,
    lease: Lease | None = None,
    hold_reason: str | None = None,
    per_part: int = 100,
    lifetime: timedelta = timedelta(days=4),
    **facts: Any,
) -> Acceptance:
    """A message accepted at *at*, all its recipients by one route; *facts* are further fields of it."""
    envelope = envelope or make_envelope()
    due_at = due_at or at
    numbers = [recipient.number for recipient in envelope.recipients]
    parts = tuple(
        Part(
            part=start // per_part + 1,
            route_id=route_id,
            recipients=tuple(numbers[start : start + per_part]),
            due_at=due_at,
            rank_at=rank_at(due_at, priority, Settings()),
            lease=lease,
            hold_reason=hold_reason,
        )
        for start in range(0, len(numbers), per_part)
    )
    known: dict[str, Any] = {"id": new_id(at), "origin": Origin.SUBMISSION, "session": make_session()}
    return Acceptance(
        accepted_at=at,
        expires_at=at + lifetime,
        envelope=envelope,
        content=content,
        priority=priority,
        parts=parts,
        **{**known, **facts},
    )


def make_settlement(
    claimed: Claimed,
    *replies: Reply,
    at: datetime = NOON,
    retry_at: datetime | None = None,
    **facts: Any,
) -> Settlement:
    """The end of the attempt *claimed*: one reply for all its recipients, or one each, in their order."""
    recipients = claimed.envelope.recipients
    each: Sequence[Reply] = replies if len(replies) > 1 else (replies or (DELIVERED,)) * len(recipients)
    outcomes = tuple(
        Outcome(recipient.number, disposition_of(reply), reply)
        for recipient, reply in zip(recipients, each, strict=True)
    )
    record = AttemptRecord("upstream", at, at, each[-1], remote="mx.example.net [192.0.2.25]:25")
    return Settlement(claimed, record, outcomes, retry_at=retry_at, rank_at=retry_at, **facts)


def make_notice(
    at: datetime = NOON, *, key: str | None = None, interval: timedelta = timedelta(hours=1), **facts: str
) -> Notice:
    """A notice noted at *at*, once an *interval* if it has a *key*."""
    its_id = id_source()(at)  # of a source of its own, for ids of one source never go back in time
    return Notice(its_id, "sender-mismatch", None, facts, key=key, interval=interval)


def without_content(claimed: Claimed) -> Claimed:
    """The same delivery as it is handed out when its content is too large to come along."""
    return claimed._replace(content=None)
