"""The end of an attempt: every recipient gets its word, the delivery its next state.

Law 2: every recipient is accounted for.  The first to settle a recipient wins: whoever comes later,
his lease lost, changes nothing that is settled and reports no failure a second time.  So settling
again what may or may not have been committed is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from relay.db.batch import Batch
from relay.db.tables import attempts, deliveries, recipients
from relay.mail.disposition import Disposition, Outcome
from relay.queue.accept import accept
from relay.queue.content import drop_contents
from relay.queue.items import DeliveryKey, Settlement
from relay.queue.leasing import END, OF_KEY, Standing, is_held, lock_messages, open_recipients, params
from relay.queue.notices import note
from relay.queue.states import ACTIVE, END_OF, RESTING, DeliveryState, RecipientState

_IS_OPEN = (recipients.c.message_id == bindparam("of_message")) & (recipients.c.state == RecipientState.OPEN)
_WORD: Mapping[str, Any] = {
    "state": bindparam("to_state"),
    "reply": bindparam("said"),
    "settled_at": bindparam("at"),
}
_SETTLE_PART = Batch(
    update(recipients).where(_IS_OPEN, recipients.c.part == bindparam("of_part")).values(_WORD),
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

_ATTEMPT_KEY = ("message_id", "part", "number")
_RECORD = {
    "sqlite": Batch(sqlite.insert(attempts).on_conflict_do_nothing(), apart=_ATTEMPT_KEY),
    "postgresql": Batch(postgresql.insert(attempts).on_conflict_do_nothing(), apart=_ATTEMPT_KEY),
}

Rows = list[dict[str, Any]]


def settle(tx: Connection, items: Sequence[Settlement]) -> list[bool]:
    """Write down how attempts ended, with the bounces and notices they cause.

    False for each whose lease was lost before: what it says of recipients that are still open
    counts all the same.  Raises ValueError if a recipient has no outcome, or one deferred no time.
    """
    for item in items:
        _check(item)
    standing = lock_messages(tx, {item.claimed.key.message_id for item in items})
    known = [item for item in items if item.claimed.key in standing]
    held = [is_held(standing, item.claimed) for item in items]
    news = _find_news(tx, known, standing)
    _settle_recipients(tx, known)
    _move_deliveries(tx, known, standing)
    _record_attempts(tx, known)
    accept(tx, [bounce for item in news for bounce in item.bounces])
    note(tx, [notice for item in news for notice in item.notices])
    return held


def _check(item: Settlement) -> None:
    numbers = [outcome.number for outcome in item.outcomes]
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


def _is_deferred(item: Settlement) -> bool:
    return not item.is_expired and any(o.disposition is Disposition.DEFERRED for o in item.outcomes)


def _end_of(outcome: Outcome, item: Settlement) -> RecipientState:
    if item.is_expired and outcome.disposition is not Disposition.DELIVERED:
        return RecipientState.EXPIRED
    return END_OF.get(outcome.disposition, RecipientState.OPEN)


def _ended(item: Settlement) -> set[int]:
    """The recipients that came to an end by this, by number."""
    return {o.number for o in item.outcomes if _end_of(o, item) is not RecipientState.OPEN}


# --- recipients -----------------------------------------------------------------------------------


def _settle_recipients(tx: Connection, items: Sequence[Settlement]) -> None:
    of_parts: Rows = []
    of_ones: Rows = []
    for item in items:
        words = [(_end_of(outcome, item), outcome.reply) for outcome in item.outcomes]
        if all(word == words[0] for word in words):
            of_parts.append(_word(item, item.outcomes[0]) | {"of_part": item.claimed.key.part})
        else:
            of_ones += [_word(item, outcome) | {"of_number": outcome.number} for outcome in item.outcomes]
    _SETTLE_PART.run(tx, of_parts)
    _SETTLE_ONE.run(tx, of_ones)


def _word(item: Settlement, outcome: Outcome) -> dict[str, Any]:
    end = _end_of(outcome, item)
    return {
        "of_message": item.claimed.key.message_id,
        "to_state": end,
        "said": str(outcome.reply),
        "at": None if end is RecipientState.OPEN else item.record.finished_at,
    }


# --- deliveries -----------------------------------------------------------------------------------


def _move_deliveries(
    tx: Connection, items: Sequence[Settlement], standing: dict[DeliveryKey, Standing]
) -> None:
    ended: Rows = []
    waiting: Rows = []
    kept: set[str] = set()
    for item in items:
        key, stands = item.claimed.key, standing[item.claimed.key]
        is_ours = is_held(standing, item.claimed)
        if _is_deferred(item):
            if is_ours:
                waiting.append(_wait(item))
                standing[key] = stands._replace(state=DeliveryState.WAITING)
        elif is_ours or stands.state in RESTING:
            # Even if the lease ran out: nobody has to try again what is done.
            ended.append(params(key))
            standing[key] = stands._replace(state=DeliveryState.DONE)
            if item.keeps_content:
                kept.add(key.message_id)
    _WAIT.run(tx, waiting)
    END.run(tx, ended)
    touched = {row["of_message"] for row in ended} - kept
    drop_contents(tx, touched - _still_active(standing))


def _wait(item: Settlement) -> dict[str, Any]:
    reply = next(o.reply for o in item.outcomes if o.disposition is Disposition.DEFERRED)
    return params(
        item.claimed.key,
        again_at=item.retry_at,
        ranked_at=item.rank_at or item.retry_at,
        why=str(reply),
    )


def _still_active(standing: Mapping[DeliveryKey, Standing]) -> set[str]:
    return {key.message_id for key, stands in standing.items() if stands.state in ACTIVE}


# --- attempts -------------------------------------------------------------------------------------


def _record_attempts(tx: Connection, items: Sequence[Settlement]) -> None:
    _RECORD[tx.dialect.name].run(tx, [_attempt_row(item) for item in items])


def _attempt_row(item: Settlement) -> dict[str, Any]:
    record, key = item.record, item.claimed.key
    differing = {o.number: str(o.reply) for o in item.outcomes if o.reply != record.reply}
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
    }
