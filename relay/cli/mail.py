"""Deliveries as the lines of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from relay.cli.desk import Desk
from relay.cli.printing import duration, moment
from relay.cli.shown import Cell, Tone
from relay.queue.browse import QueueLine, queue_page
from relay.queue.items import DeliveryKey
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState
from relay.queue.waiting import Waiting, Why, look_around, why_waiting

HEADINGS = ("id", "state", "prio", "from", "to", "first recipient", "tries", "next try", "why")

_COUNTED = 100_000  # deliveries, for all lines together
_PLAIN = {Why.NEXT, Why.SENDING, Why.DONE}  # the state says it already

STATES = {
    DeliveryState.QUEUED: Cell("due", Tone.GOOD),
    DeliveryState.WAITING: Cell("waiting", Tone.DOUBTFUL),
    DeliveryState.LEASED: Cell("being delivered", Tone.GOOD),
    DeliveryState.HELD: Cell("held", Tone.BAD),
    DeliveryState.DONE: Cell("done", Tone.QUIET),
}


def lines(desk: Desk, selections: Sequence[Selection], limit: int) -> tuple[list[QueueLine], bool]:
    """The first *limit* lines that fit any of *selections*, and whether there are more."""
    found: dict[str, QueueLine] = {}
    is_cut = False
    for selection in selections:
        page = desk.read(queue_page, state=selection.state, selection=selection, limit=limit)
        found |= {str(line.key): line for line in page.lines}
        is_cut = is_cut or page.next is not None
    ordered = sorted(found.values(), key=lambda line: line.position)
    return ordered[:limit], is_cut or len(ordered) > limit


def whys(desk: Desk, lines: Sequence[QueueLine]) -> Mapping[DeliveryKey, Waiting]:
    """Why each of *lines* waits; the more there are, the less far is counted what goes before each."""
    around = desk.read(look_around, desk.sealer, desk.now)
    at_most = max(_COUNTED // max(len(lines), 1), 1)
    return desk.read(why_waiting, [line.key for line in lines], around, at_most=at_most)


def row(line: QueueLine, waiting: Waiting | None, now: datetime) -> tuple[str | Cell, ...]:
    """A delivery as a row under HEADINGS."""
    return (
        Cell(str(line.key), Tone.STRONG),
        STATES[line.state],
        str(int(line.priority)),
        line.sender or "<>",
        str(line.recipients),
        line.first_recipient or "",
        str(line.attempts),
        _next_try(line, now),
        waiting.sentence if waiting and waiting.why not in _PLAIN else "",
    )


def _next_try(line: QueueLine, now: datetime) -> str:
    if line.state is not DeliveryState.WAITING:
        return "now" if line.state is DeliveryState.QUEUED else ""
    return f"in {duration(line.due_at - now)}" if line.due_at > now else moment(line.due_at)


def document(line: QueueLine, waiting: Waiting | None) -> dict[str, Any]:
    """A delivery as --json shows it."""
    return {
        "id": str(line.key),
        "message_id": line.key.message_id,
        "part": line.key.part,
        "state": line.state,
        "priority": line.priority,
        "user": line.user_name,
        "sender": line.sender,
        "subject": line.subject,
        "recipients": line.recipients,
        "first_recipient": line.first_recipient,
        "octets": line.octets,
        "attempts": line.attempts,
        "accepted_at": line.accepted_at,
        "due_at": line.due_at,
        "expires_at": line.expires_at,
        "reason": line.reason,
        "waiting": waiting,
        "leased_by": line.leased_by,
    }
