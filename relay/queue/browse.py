"""Looking at the queue: how much there is, page by page, and the whole story of one message.

Only reads, and none that grows with what is long done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Row, bindparam, exists, func, literal, select, tuple_

from relay.db.tables import attempts, contents, deliveries, messages, recipients
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.queue.conditions import IN_STATE, IS_LEASED, IS_RESTING
from relay.queue.envelopes import address_of, envelope_of
from relay.queue.followers import Follower, followers_of
from relay.queue.items import DeliveryKey, Origin
from relay.queue.selection import ITS_OPEN, Selection
from relay.queue.states import DeliveryState, RecipientState


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries stand where, of those that are not done."""

    queued: int = 0
    waiting: int = 0
    leased: int = 0
    held: int = 0

    @property
    def all(self) -> int:
        """Everything that is still to be delivered."""
        return self.queued + self.waiting + self.leased + self.held


def counts(tx: Connection, selection: Selection | None = None) -> Counts:
    """Return how many deliveries (of *selection*) are queued, waiting, leased and held."""
    wanted = () if selection is None else selection.conditions()
    resting = select(deliveries.c.state, func.count()).where(IS_RESTING, *wanted).group_by(deliveries.c.state)
    leased = select(func.count()).select_from(deliveries).where(IS_LEASED, *wanted)
    standing = {state.value: number for state, number in tx.execute(resting)}
    return Counts(**standing, leased=tx.execute(leased).scalar_one())


def accepted_since(tx: Connection, moment: datetime) -> int:
    """Return how many messages were accepted at *moment* or later."""
    recent = select(func.count()).select_from(messages).where(messages.c.accepted_at >= moment)
    return tx.execute(recent).scalar_one()


class Position(NamedTuple):
    """Where a page ends, and the next one begins."""

    expires_at: datetime
    message_id: str
    part: int


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One delivery, as a line of the queue; `recipients` are those that it is still to go to."""

    key: DeliveryKey
    state: DeliveryState
    priority: Priority
    route_id: str
    due_at: datetime
    expires_at: datetime
    attempts: int
    reason: str | None
    leased_by: str | None
    accepted_at: datetime
    user_name: str | None
    sender: str
    subject: str | None
    octets: int
    recipients: int
    first_recipient: str | None

    @property
    def position(self) -> Position:
        """Where this line stands in the order of the queue."""
        return Position(self.expires_at, self.key.message_id, self.key.part)


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Some lines, and where the next page begins; None after the last."""

    lines: tuple[QueueLine, ...]
    next: Position | None


_ORDER = (deliveries.c.expires_at, deliveries.c.message_id, deliveries.c.part)
_LINES = (
    select(
        deliveries.c.message_id,
        deliveries.c.part,
        deliveries.c.state,
        deliveries.c.priority,
        deliveries.c.route_id,
        deliveries.c.due_at,
        deliveries.c.expires_at,
        deliveries.c.attempts,
        deliveries.c.reason,
        deliveries.c.leased_by,
        messages.c.accepted_at,
        messages.c.user_name,
        messages.c.sender,
        messages.c.subject,
        messages.c.octets,
        select(func.count()).select_from(recipients).where(ITS_OPEN).scalar_subquery().label("recipients"),
        select(recipients.c.address)
        .where(ITS_OPEN)
        .order_by(recipients.c.number)
        .limit(1)
        .scalar_subquery()
        .label("first_recipient"),
    )
    .join_from(deliveries, messages)
    .order_by(*_ORDER)
)


def queue_page(
    tx: Connection,
    *,
    state: DeliveryState | None = None,
    selection: Selection | None = None,
    after: Position | None = None,
    limit: int = 50,
) -> QueuePage:
    """Return the deliveries that are not done, those first that expire first, from *after* on.

    *state* and *selection* narrow it down.
    """
    lines = _LINES.limit(limit + 1)
    if selection is not None:
        lines = lines.where(*selection.conditions())
    if after is not None:
        lines = lines.where(tuple_(*_ORDER) > tuple_(*map(_as_bind, _ORDER, after)))
    # Two queries, for each has an index that holds nothing of what is done.
    found: list[Sequence[Any]] = []
    if state in {None, DeliveryState.LEASED}:
        found.append(tx.execute(lines.where(IS_LEASED)).all())
    if state is not DeliveryState.LEASED:
        resting = lines.where(IS_RESTING)
        found.append(tx.execute(resting if state is None else resting.where(IN_STATE[state])).all())
    merged = sorted(map(_line, chain(*found)), key=lambda line: line.position)
    page = tuple(merged[:limit])
    return QueuePage(page, next=page[-1].position if len(merged) > limit else None)


def _as_bind(column: Column[Any], value: Any) -> Any:
    return literal(value, column.type)


def _line(row: Row[*tuple[Any, ...]]) -> QueueLine:
    facts = row._asdict()
    key = DeliveryKey(facts.pop("message_id"), facts.pop("part"))
    return QueueLine(key=key, **facts | {"priority": Priority(row.priority)})


# --- the story of one message --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecipientStory:
    """What became of one recipient, and the last word about it."""

    number: int
    part: int
    address: str
    notify: str | None
    orcpt: str | None
    state: RecipientState
    reply: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One try: where, when, how secured, and every reply; `replies` by recipient, where they differed.

    `perhaps_delivered`: the upstream got the whole message, and the line broke before its answer.
    `left_alone`: what was to be changed in the message and was not, and why.
    """

    part: int
    number: int
    upstream: str | None
    started_at: datetime
    finished_at: datetime
    remote: str | None
    tls: str | None
    reply: str
    replies: Mapping[int, str]
    perhaps_delivered: bool
    left_alone: str | None


@dataclass(frozen=True, slots=True)
class PartStory:
    """One delivery of the message: by which route, how it stands, why, and when it is tried next.

    `lost_tries` are those of whose end nobody knows: the process that had the delivery died meanwhile.
    """

    part: int
    route_id: str
    state: DeliveryState
    priority: Priority
    due_at: datetime
    attempts_begun: int
    leased_by: str | None
    leased_until: datetime | None
    reason: str | None
    attempts: tuple[AttemptStory, ...]
    lost_tries: tuple[int, ...]

    @property
    def next_try_at(self) -> datetime | None:
        """When it is tried (again), at the soonest; None if it is done, held, or being tried now."""
        return self.due_at if self.state in {DeliveryState.QUEUED, DeliveryState.WAITING} else None


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of one message, from the door in to the door out."""

    id: str
    accepted_at: datetime
    expires_at: datetime
    origin: Origin
    user_id: str | None
    user_name: str | None
    credential_id: str | None
    listener: str | None
    login: str | None
    peer_address: str | None
    helo: str | None
    tls: str | None
    header_from: str | None
    subject: str | None
    message_id_field: str | None
    tag: str | None
    priority: Priority
    priority_asked: Priority | None
    octets: int
    about_id: str | None
    mismatch: str | None
    has_content: bool
    envelope: Envelope
    recipients: tuple[RecipientStory, ...]
    parts: tuple[PartStory, ...]
    followers: tuple[Follower, ...]

    @property
    def is_finished(self) -> bool:
        """Whether every recipient has its end."""
        return all(part.state is DeliveryState.DONE for part in self.parts)


_SAME_NAMES = tuple(
    messages.c[name]
    for name in (
        "accepted_at",
        "expires_at",
        "user_id",
        "user_name",
        "credential_id",
        "listener",
        "login",
        "peer_address",
        "helo",
        "tls",
        "header_from",
        "subject",
        "message_id_field",
        "tag",
        "octets",
        "about_id",
        "mismatch",
    )
)
_MESSAGE = select(
    messages.c.origin,
    messages.c.priority,
    messages.c.priority_asked,
    messages.c.sender,
    messages.c.body,
    messages.c.smtputf8,
    messages.c.options,
    exists().where(contents.c.message_id == messages.c.id).label("has_content"),
    *_SAME_NAMES,
).where(messages.c.id == bindparam("message_id"))


def story(tx: Connection, message_id: str) -> Story | None:
    """Tell all that is known of a message; None if nothing is (any more)."""
    message = tx.execute(_MESSAGE, {"message_id": message_id}).first()
    if message is None:
        return None
    facts = message._asdict()
    ends = _recipients_of(tx, message_id)
    return Story(
        id=message_id,
        origin=Origin(message.origin),
        priority=Priority(message.priority),
        priority_asked=Priority(message.priority_asked) if message.priority_asked else None,
        has_content=bool(message.has_content),
        envelope=envelope_of(
            sender=message.sender,
            body=message.body,
            smtputf8=message.smtputf8,
            options=message.options,
            recipients=[Recipient(r.number, address_of(r.address), r.notify, r.orcpt) for r in ends],
        ),
        recipients=ends,
        parts=_parts_of(tx, message_id),
        followers=followers_of(tx, message_id),
        **{column.name: facts[column.name] for column in _SAME_NAMES},
    )


def _recipients_of(tx: Connection, message_id: str) -> tuple[RecipientStory, ...]:
    columns = [recipients.c[f.name] for f in fields(RecipientStory)]
    rows = tx.execute(
        select(*columns).where(recipients.c.message_id == message_id).order_by(recipients.c.number)
    )
    return tuple(RecipientStory(*row) for row in rows)


def _parts_of(tx: Connection, message_id: str) -> tuple[PartStory, ...]:
    tried = _attempts_of(tx, message_id)
    recorded = {attempt.number for attempt in tried}
    rows = tx.execute(
        select(deliveries).where(deliveries.c.message_id == message_id).order_by(deliveries.c.part)
    )
    return tuple(
        PartStory(
            part=row.part,
            route_id=row.route_id,
            state=row.state,
            priority=Priority(row.priority),
            due_at=row.due_at,
            attempts_begun=row.attempts,
            leased_by=row.leased_by,
            leased_until=row.leased_until,
            reason=row.reason,
            attempts=tuple(attempt for attempt in tried if attempt.part == row.part),
            lost_tries=_lost_tries(row.attempts, row.state, recorded),
        )
        for row in rows
    )


def _lost_tries(begun: int, state: DeliveryState, recorded: AbstractSet[int]) -> tuple[int, ...]:
    """Which of the tries *begun* left no record, but for the one that is under way.

    *recorded* are those of all deliveries of the message: who was split off counts on from where that was.
    """
    last = begun - 1 if state is DeliveryState.LEASED else begun
    return tuple(number for number in range(1, last + 1) if number not in recorded)


def _attempts_of(tx: Connection, message_id: str) -> list[AttemptStory]:
    columns = [attempts.c[f.name] for f in fields(AttemptStory)]
    rows = tx.execute(
        select(*columns)
        .where(attempts.c.message_id == message_id)
        .order_by(attempts.c.part, attempts.c.number)
    )
    return [AttemptStory(**row._asdict() | _read(row)) for row in rows]


def _read(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {"replies": _by_number(row.replies), "perhaps_delivered": bool(row.perhaps_delivered)}


def _by_number(replies: str | None) -> dict[int, str]:
    return {int(number): reply for number, reply in json.loads(replies or "{}").items()}
