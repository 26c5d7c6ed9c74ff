"""What goes into the queue and what comes out of it, as values."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from relay.mail.disposition import Outcome
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.mail.session import Session


class Origin(StrEnum):
    """Who made a message."""

    SUBMISSION = "submission"
    BOUNCE = "bounce"
    ARCHIVE = "archive"  # the copy that an upstream's archive gets of what it took
    NOTICE = "notice"
    CONSOLE = "console"


class DeliveryKey(NamedTuple):
    """Names a delivery: the message and which of its parts."""

    message_id: str
    part: int

    def __str__(self) -> str:
        return f"{self.message_id}-{self.part}"


class Lease(NamedTuple):
    """The right of *owner* (a process of a node) to a delivery, until then."""

    owner: str
    until: datetime


class Part(NamedTuple):
    """One delivery to be: the recipients (by number) that one route carries, at most N of them.

    With a `lease` it is born LEASED, for the process that accepts it has room; with a
    `hold_reason` it is born HELD; else it is QUEUED, or WAITING if `due_at` lies ahead.
    """

    part: int
    route_id: str
    recipients: tuple[int, ...]
    due_at: datetime
    rank_at: datetime
    lease: Lease | None = None
    hold_reason: str | None = None


class Notice(NamedTuple):
    """Something to tell, kept in the same transaction as what caused it.

    Its `id` tells when, too.  `key` and `interval` say how often: it is dropped if the same key was
    noted less than `interval` ago.  `facts` are what its template may speak of.
    """

    id: str
    kind: str
    user_id: str | None
    facts: dict[str, str]
    key: str | None = None
    interval: timedelta = timedelta(0)


class Acceptance(NamedTuple):
    """A whole message on its way into the queue: nothing of it is kept unless all of it is.

    `about` is the id of the message that it reports on, or is an archive's copy of.  `mismatch` tells which
    senders were not its user's, and what became of that; `priority_asked` what it asked for, where that is
    not the `priority` it goes with.
    """

    id: str
    accepted_at: datetime
    expires_at: datetime
    origin: Origin
    envelope: Envelope
    content: bytes
    priority: Priority
    parts: tuple[Part, ...]
    session: Session | None = None
    header_from: str | None = None
    subject: str | None = None
    message_id_field: str | None = None
    tag: str | None = None
    notices: tuple[Notice, ...] = ()
    late_at: datetime | None = None  # when its sender is to hear that it is still on its way
    about: str | None = None
    mismatch: str | None = None
    priority_asked: Priority | None = None


class Claimed(NamedTuple):
    """A delivery in the hands of a process: all that an attempt needs but the content, if `content` is None.

    `number` is the attempt that this will be, counted from 1; `envelope.recipients` are those of
    this part that are still open.
    """

    key: DeliveryKey
    number: int
    route_id: str
    priority: Priority
    rank_at: datetime
    accepted_at: datetime
    expires_at: datetime
    lease: Lease
    origin: Origin
    user_id: str | None
    octets: int
    envelope: Envelope
    content: bytes | None = None


class AttemptRecord(NamedTuple):
    """One try as it is remembered: where it went, how it was secured, what was said.

    `perhaps_delivered`: it was cut off when the whole message was out, before the answer.  `left_alone`
    says what was to be changed in the message and was not, and why: "header and footer: it is signed".
    """

    upstream: str | None
    started_at: datetime
    finished_at: datetime
    reply: Reply
    remote: str | None = None
    tls: str | None = None
    perhaps_delivered: bool = False
    left_alone: str | None = None


class Settlement(NamedTuple):
    """The end of one attempt: an outcome for every recipient of the delivery, exactly one each.

    `retry_at` is when those deferred are tried again, with `rank_at` their place among others;
    None if there are none.  `bounces` are accepted in the same transaction, so that a failure is
    never noted without its report; of copies for an archive, one a message.  `keeps_content`: the
    upstream wants it kept (the sandbox), whatever the upstreams of other parts want.  `left` are groups
    for whom this transaction had no room, with what is to be said of each recipient: they are tried at
    once, each group in a delivery of its own, and are not among the `outcomes`.
    """

    claimed: Claimed
    record: AttemptRecord
    outcomes: tuple[Outcome, ...]
    retry_at: datetime | None = None
    rank_at: datetime | None = None
    bounces: tuple[Acceptance, ...] = ()
    notices: tuple[Notice, ...] = ()
    keeps_content: bool = False
    is_expired: bool = False
    left: tuple[tuple[Outcome, ...], ...] = ()
