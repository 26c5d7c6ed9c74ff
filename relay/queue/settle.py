"""The end of an attempt: every recipient gets its word, the delivery its next state.

Law 2: every recipient is accounted for.  The first to settle a recipient wins: whoever comes later,
his lease lost, changes nothing that is settled and reports no failure a second time.  So settling
again what may or may not have been committed is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from relay.db.batch import Batch
from relay.db.tables import attempts, deliveries, recipients
from relay.mail.disposition import Disposition, Outcome
from relay.queue.accept import accept
from relay.queue.content import drop_contents
from relay.queue.items import Acceptance, DeliveryKey, Origin, Settlement
from relay.queue.leasing import (
    END,
    OF_KEY,
    Standing,
    is_held,
    lock_messages,
    open_recipients,
    params,
)
from relay.queue.notices import note
from relay.queue.splitting import Group, split_off
from relay.queue.states import END_OF, RESTING, DeliveryState, RecipientState

# Not those who went on in another delivery meanwhile: they are no business of a lease that was lost.
_IS_OPEN = (
    (recipients.c.message_id == bindparam("of_message"))
    & (recipients.c.part == bindparam("of_part"))
    & (recipients.c.state == RecipientState.OPEN)
)
_WORD: Mapping[str, Any] = {
    "state": bindparam("to_state"),
    "reply": bindparam("said"),
    "settled_at": bindparam("at"),
}
_SETTLE_PART = Batch(
    update(recipients).where(_IS_OPEN).values(_WORD),
    apart=("of_message", "of_part"),
)
_SETTLE_ONE = Batch(
    update(recipients).where(_IS_OPEN, recipients.c.number == bindparam("of_number")).values(_WORD),
    apart=("of_message", "of_number"),
)
_WAIT = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(
        state=DeliveryState.WAITING,
        due_at=bindparam("again_at"),
        rank_at=bindparam("ranked_at"),
        reason=bindparam("why"),
        leased_by=None,
        leased_until=None,
    )
)

_END_KEEPING = Batch(
    update(deliveries)
    .where(OF_KEY)
    .values(state=DeliveryState.DONE, leased_by=None, leased_until=None, reason=None, keeps_content=True)
)
_COPIED = Batch(update(deliveries).where(OF_KEY).values(copied_to=bindparam("archives")))

_ATTEMPT_KEY = ("message_id", "part", "number")
_RECORD = {
    "sqlite": Batch(sqlite.insert(attempts).on_conflict_do_nothing(), apart=_ATTEMPT_KEY),
    "postgresql": Batch(postgresql.insert(attempts).on_conflict_do_nothing(), apart=_ATTEMPT_KEY),
}

Rows = list[dict[str, Any]]


class Settled(NamedTuple):
    """Whether the lease was still in force, and which messages of our own came of it, by id."""

    is_ours: bool
    accepted: tuple[str, ...] = ()


def settle(tx: Connection, items: Sequence[Settlement]) -> list[Settled]:
    """Write down how attempts ended, with the bounces, copies and notices they cause.

    If a lease was lost before, what its settlement says of recipients that are still open counts all
    the same.  Raises ValueError if a recipient has no outcome, or one deferred no time.
    """
    for item in items:
        _check(item)
    standing = lock_messages(tx, {item.claimed.key.message_id for item in items})
    known = [item for item in items if item.claimed.key in standing]
    held = [is_held(standing, item.claimed) for item in items]
    news = _find_news(tx, known, standing)
    split_off(tx, [group for item in known if is_held(standing, item.claimed) for group in _left(item)])
    _settle_recipients(tx, known)
    _move_deliveries(tx, known, standing)
    _record_attempts(tx, known)
    followers = {id(item): _followers(item, standing) for item in news if item.bounces}
    accept(tx, [follower for those in followers.values() for follower in those])
    _COPIED.run(tx, [row for item in news if item.bounces for row in _copied(item, standing)])
    note(tx, [notice for item in news for notice in item.notices])
    accepted = {which: tuple(follower.id for follower in those) for which, those in followers.items()}
    return [Settled(is_ours, accepted.get(id(item), ())) for item, is_ours in zip(items, held, strict=True)]


def _check(item: Settlement) -> None:
    numbers = [outcome.number for outcome in chain(item.outcomes, *item.left)]
    if sorted(numbers) != [recipient.number for recipient in item.claimed.envelope.recipients]:
        raise ValueError(f"delivery {item.claimed.key}: there must be one outcome for each recipient")
    if item.retry_at is None and _is_deferred(item):
        raise ValueError(f"delivery {item.claimed.key}: deferred, but until when?")


def _find_news(
    tx: Connection, items: Sequence[Settlement], standing: Mapping[DeliveryKey, Standing]
) -> list[Settlement]:
    """Return those settlements whose bounces and notices nobody sent before.

    Only one that reports an end, or comes late, can be old news, so only those are looked up.
    """
    doubtful = [
        item for item in items if (item.bounces and _ended(item)) or not is_held(standing, item.claimed)
    ]
    if not doubtful:
        return list(items)
    still_open = open_recipients(tx, {item.claimed.key.message_id for item in doubtful})
    old = {
        id(item)
        for item in doubtful
        if not _ended(item) & {recipient.number for recipient in still_open.get(item.claimed.key, ())}
    }
    return [item for item in items if id(item) not in old]


def _left(item: Settlement) -> Iterator[Group]:
    """Those for whom there was no room: they go on at once (RFC 5321 §4.5.3.1.10)."""
    for outcomes in item.left:
        numbers = tuple([outcome.number for outcome in outcomes])
        yield Group(item.claimed.key, numbers, item.claimed.number - 1, str(outcomes[0].reply))


def _is_deferred(item: Settlement) -> bool:
    return not item.is_expired and any(o.disposition is Disposition.DEFERRED for o in item.outcomes)


def _end_of(outcome: Outcome, item: Settlement) -> RecipientState:
    if item.is_expired and outcome.disposition is not Disposition.DELIVERED:
        return RecipientState.EXPIRED
    return END_OF.get(outcome.disposition, RecipientState.OPEN)


def _ended(item: Settlement) -> set[int]:
    """The recipients that came to an end by this, by number."""
    return {o.number for o in item.outcomes if _end_of(o, item) is not RecipientState.OPEN}


# --- copies for archives --------------------------------------------------------------------------


def _followers(item: Settlement, standing: dict[DeliveryKey, Standing]) -> list[Acceptance]:
    """The messages of our own that are to be accepted: of copies for an archive, one a message.

    Whichever part goes out first brings it there; *standing* then tells the others.
    """
    followers: list[Acceptance] = []
    for follower in item.bounces:
        if follower.origin is Origin.ARCHIVE:
            key, archive = item.claimed.key, str(follower.envelope.recipients[0].address)
            if archive in _archives_of(key.message_id, standing):
                continue
            copied_to = "\n".join(filter(None, (standing[key].copied_to, archive)))
            standing[key] = standing[key]._replace(copied_to=copied_to)
        followers.append(follower)
    return followers


def _archives_of(message_id: str, standing: Mapping[DeliveryKey, Standing]) -> set[str]:
    copied = [stands.copied_to for key, stands in standing.items() if key.message_id == message_id]
    return {archive for those in copied if those for archive in those.split("\n")}


def _copied(item: Settlement, standing: Mapping[DeliveryKey, Standing]) -> Rows:
    key = item.claimed.key
    has_copy = any(follower.origin is Origin.ARCHIVE for follower in item.bounces)
    return [params(key, archives=standing[key].copied_to)] if has_copy else []


# --- recipients -----------------------------------------------------------------------------------


def _settle_recipients(tx: Connection, items: Sequence[Settlement]) -> None:
    of_parts: Rows = []
    of_ones: Rows = []
    for item in items:
        words = [(_end_of(outcome, item), outcome.reply) for outcome in item.outcomes]
        if not item.left and all(word == words[0] for word in words):
            of_parts.append(_word(item, item.outcomes[0]))
        else:
            of_ones += [_word(item, outcome) | {"of_number": outcome.number} for outcome in item.outcomes]
    _SETTLE_PART.run(tx, of_parts)
    _SETTLE_ONE.run(tx, of_ones)


def _word(item: Settlement, outcome: Outcome) -> dict[str, Any]:
    end = _end_of(outcome, item)
    return {
        "of_message": item.claimed.key.message_id,
        "of_part": item.claimed.key.part,
        "to_state": end,
        "said": str(outcome.reply),
        "at": None if end is RecipientState.OPEN else item.record.finished_at,
    }


# --- deliveries -----------------------------------------------------------------------------------


def _move_deliveries(
    tx: Connection, items: Sequence[Settlement], standing: dict[DeliveryKey, Standing]
) -> None:
    ended: Rows = []
    keeping: Rows = []
    waiting: Rows = []
    for item in items:
        key, stands = item.claimed.key, standing[item.claimed.key]
        is_ours = is_held(standing, item.claimed)
        if _is_deferred(item) or (item.left and not is_ours):
            if is_ours:
                waiting.append(_wait(item))
                standing[key] = stands._replace(state=DeliveryState.WAITING)
        elif is_ours or stands.state in RESTING:
            # Even if the lease ran out: nobody has to try again what is done.
            (keeping if item.keeps_content else ended).append(params(key))
            standing[key] = stands._replace(state=DeliveryState.DONE)
    _WAIT.run(tx, waiting)
    END.run(tx, ended)
    _END_KEEPING.run(tx, keeping)
    drop_contents(tx, {row["of_message"] for row in ended})


def _wait(item: Settlement) -> dict[str, Any]:
    reply = next(o.reply for o in item.outcomes if o.disposition is Disposition.DEFERRED)
    return params(
        item.claimed.key,
        again_at=item.retry_at,
        ranked_at=item.rank_at or item.retry_at,
        why=str(reply),
    )


# --- attempts -------------------------------------------------------------------------------------


def _record_attempts(tx: Connection, items: Sequence[Settlement]) -> None:
    _RECORD[tx.dialect.name].run(tx, [_attempt_row(item) for item in items])


def _attempt_row(item: Settlement) -> dict[str, Any]:
    record, key = item.record, item.claimed.key
    told = chain(item.outcomes, *item.left)
    differing = {o.number: str(o.reply) for o in told if o.reply != record.reply}
    return {
        "message_id": key.message_id,
        "part": key.part,
        "number": item.claimed.number,
        "upstream": record.upstream,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "remote": record.remote,
        "tls": record.tls,
        "reply": str(record.reply),
        "replies": json.dumps(differing) if differing else None,
        "perhaps_delivered": record.perhaps_delivered or None,
        "left_alone": record.left_alone,
    }
