"""Taking messages into the queue: all of each, or nothing.

Whoever calls this in a transaction may say 250 once it is committed, and not before (law 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert

from relay.accounts.usage import Charge, charge
from relay.db.batch import Batch
from relay.db.tables import contents, deliveries, messages, recipients
from relay.queue.envelopes import options_of
from relay.queue.items import Acceptance, Origin, Part
from relay.queue.notices import note
from relay.queue.states import DeliveryState, RecipientState

_INSERT_MESSAGES = Batch(insert(messages), apart=("id",))
_INSERT_CONTENTS = Batch(insert(contents), apart=("message_id",))
_INSERT_RECIPIENTS = Batch(insert(recipients), apart=("message_id", "number"))
_INSERT_DELIVERIES = Batch(insert(deliveries), apart=("message_id", "part"))

Row = dict[str, Any]


def accept(tx: Connection, items: Sequence[Acceptance]) -> list[str]:
    """Keep whole messages, with their notices, and charge them to their users; return their ids."""
    _INSERT_MESSAGES.run(tx, [_message_row(item) for item in items])
    _INSERT_CONTENTS.run(tx, [{"message_id": item.id, "content": item.content} for item in items])
    _INSERT_RECIPIENTS.run(tx, [row for item in items for row in _recipient_rows(item)])
    _INSERT_DELIVERIES.run(tx, [_delivery_row(item, part) for item in items for part in item.parts])
    charge(tx, [made for item in items if (made := _charge(item)) is not None])
    note(tx, [notice for item in items for notice in item.notices])
    return [item.id for item in items]


def _message_row(item: Acceptance) -> Row:
    session, envelope = item.session, item.envelope
    return {
        "id": item.id,
        "accepted_at": item.accepted_at,
        "expires_at": item.expires_at,
        "origin": item.origin.value,
        "user_id": session and session.user_id,
        "user_name": session and session.user,
        "credential_id": session and session.credential_id,
        "peer_address": session and session.peer_address,
        "helo": session and _fitting(session.helo, 255),
        "tls": session and session.tls,
        "listener": session and session.listener,
        "login": session and session.login,
        "sender": str(envelope.sender),
        "header_from": _fitting(item.header_from, 320),
        "subject": _fitting(item.subject, 255),
        "message_id_field": _fitting(item.message_id_field, 255),
        "tag": _fitting(item.tag, 128),
        "priority": int(item.priority),
        "priority_asked": item.priority_asked and int(item.priority_asked),
        "octets": len(item.content),
        "body": envelope.body.value,
        "smtputf8": envelope.smtputf8,
        "about_id": item.about,
        "mismatch": _fitting(item.mismatch, 1000),
        "options": options_of(envelope),
    }


def _recipient_rows(item: Acceptance) -> list[Row]:
    part_of = {number: part.part for part in item.parts for number in part.recipients}
    return [
        {
            "message_id": item.id,
            "number": recipient.number,
            "part": part_of[recipient.number],
            "address": str(recipient.address),
            "notify": recipient.notify,
            "orcpt": recipient.orcpt,
            "state": RecipientState.OPEN,
        }
        for recipient in item.envelope.recipients
    ]


def _delivery_row(item: Acceptance, part: Part) -> Row:
    lease = part.lease
    return {
        "message_id": item.id,
        "part": part.part,
        "route_id": part.route_id,
        "state": _first_state(item, part),
        "priority": int(item.priority),
        "due_at": part.due_at,
        "rank_at": part.rank_at,
        "expires_at": item.expires_at,
        "attempts": 1 if lease else 0,
        "leased_by": lease and lease.owner,
        "leased_until": lease and lease.until,
        "reason": part.hold_reason,
        "late_at": item.late_at,
    }


def _first_state(item: Acceptance, part: Part) -> DeliveryState:
    if part.hold_reason is not None:
        return DeliveryState.HELD
    if part.lease is not None:
        return DeliveryState.LEASED
    return DeliveryState.WAITING if part.due_at > item.accepted_at else DeliveryState.QUEUED


def _charge(item: Acceptance) -> Charge | None:
    if item.origin is not Origin.SUBMISSION or item.session is None or item.session.user_id is None:
        return None
    return Charge(item.session.user_id, item.accepted_at, len(item.envelope.recipients), len(item.content))


def _fitting(text: str | None, length: int) -> str | None:
    """Cut what a client wrote to the column's length, less what PostgreSQL cannot hold as text."""
    if text is None or (len(text) <= length and text.isascii() and "\0" not in text):
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:length]
