"""Deliveries as the lines of a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from relay.cli.desk import Desk
from relay.cli.printing import duration, moment
from relay.cli.shown import Cell, Tone
from relay.queue.browse import QueueLine, queue_page
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState

HEADINGS = ("id", "state", "prio", "from", "to", "first recipient", "tries", "next try", "why")

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


def row(line: QueueLine, now: datetime) -> tuple[str | Cell, ...]:
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
        line.reason or "",
    )


def _next_try(line: QueueLine, now: datetime) -> str:
    if line.state is not DeliveryState.WAITING:
        return "now" if line.state is DeliveryState.QUEUED else ""
    return f"in {duration(line.due_at - now)}" if line.due_at > now else moment(line.due_at)


def document(line: QueueLine) -> dict[str, Any]:
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
        "leased_by": line.leased_by,
    }
