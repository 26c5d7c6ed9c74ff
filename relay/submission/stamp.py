"""From what a client handed in to what the queue keeps: stamped, completed, planned.

Here the message gets its id, its Received field and whatever a submission server adds to a header
that lacks it (RFC 6409 §8), its priority, its route, and perhaps its place in this process's hands.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from relay.mail.envelope import Envelope
from relay.mail.facts import Facts, facts_of
from relay.mail.fixups import OTHER_SENDERS, complete
from relay.mail.priority import Priority, combine, from_mt_priority
from relay.mail.received import received_field
from relay.notify.lateness import late_at
from relay.policy.submission import User
from relay.queue.claim import LEASE
from relay.queue.items import Acceptance, Claimed, DeliveryKey, Lease, Origin, Part
from relay.queue.leasing import BRINGS_ALONG_OCTETS
from relay.queue.parts import divide
from relay.queue.rank import rank_at
from relay.routing.routes import plan
from relay.submission.letter import Letter

if TYPE_CHECKING:
    from relay.submission.handler import Office
    from relay.submission.server import ServerSession
    from relay.submission.transaction import Transaction


class Stamped(NamedTuple):
    """What goes into the queue, and those of its deliveries that come the short way to the worker."""

    acceptance: Acceptance
    in_hand: tuple[Claimed, ...]


def stamp(office: Office, session: ServerSession, transaction: Transaction, letter: Letter) -> Stamped:
    """Make of *letter* what the queue accepts, leased to this process where there is room for it."""
    assert session.user is not None
    settings, now, user = office.settings.value, office.clock.now(), session.user
    message_id = office.new_id(now)
    facts = facts_of(letter.header)
    envelope = transaction.as_envelope()
    if transaction.rewritten_sender is not None:
        envelope = envelope._replace(sender=transaction.rewritten_sender)
    content = _stamped_content(office, session, transaction, letter, message_id=message_id, now=now)
    priority, asked = _priorities(user, envelope, facts)
    due_at = max(now, envelope.hold_until) if envelope.hold_until else now
    lease = Lease(office.owner, now + LEASE)
    brought_along = content if len(content) <= BRINGS_ALONG_OCTETS else b""

    def lease_for(route_id: str) -> Lease | None:
        is_due = due_at == now
        has_room = is_due and office.handover.reserve(route_id, len(brought_along), priority)
        return lease if has_room else None

    parts = divide(
        plan(
            office.routing.value,
            envelope,
            user.id,
            tag=facts.tag,
            priority=priority,
            octets=len(content),
        ),
        at_most=settings.recipients_per_delivery,
        due_at=due_at,
        rank_at=rank_at(due_at, priority, settings),
        hold_reason=transaction.hold_reason,
        lease_for=lease_for,
    )
    acceptance = Acceptance(
        id=message_id,
        accepted_at=now,
        expires_at=_expires_at(envelope, settings.schedule.gives_up_at(due_at)),
        origin=Origin.SUBMISSION,
        envelope=envelope,
        content=content,
        priority=priority,
        parts=parts,
        session=session.facts,
        header_from=facts.header_from,
        subject=facts.subject,
        message_id_field=facts.message_id,
        tag=facts.tag,
        notices=tuple(transaction.notices),
        mismatch="; ".join(transaction.mismatches) or None,
        late_at=late_at(envelope, now, settings),
        priority_asked=asked if asked is not priority else None,
    )
    return Stamped(acceptance, tuple([_claimed(acceptance, part, user) for part in parts if part.lease]))


def _expires_at(envelope: Envelope, gives_up_at: datetime) -> datetime:
    """When it is returned to its sender: earlier than usual only if he said so (RFC 2852, mode R)."""
    if envelope.deliver_by is None or not envelope.is_returned_when_late:
        return gives_up_at
    return min(gives_up_at, envelope.deliver_by)


def _priorities(user: User, envelope: Envelope, facts: Facts) -> tuple[Priority, Priority | None]:
    """What it goes with, and what it asked for, if anything."""
    named, parameter = facts.priorities, envelope.mt_priority
    if parameter is not None:
        # The field only stands in for the parameter (RFC 6758 §3.1); where both are, this one counts.
        named = {**named, "mt-priority": from_mt_priority(parameter)}
    given = combine(user.default_priority, named.values(), user.highest_priority)
    return given, min(named.values(), default=None)


def _stamped_content(
    office: Office,
    session: ServerSession,
    transaction: Transaction,
    letter: Letter,
    *,
    message_id: str,
    now: datetime,
) -> bytes:
    recipients = transaction.recipients
    received = received_field(
        session.facts,
        hostname=office.hostname,
        message_id=message_id,
        now=now,
        recipient=recipients[0].address if len(recipients) == 1 else None,
        smtputf8=bool(transaction.parameters.get("smtputf8")),
        reveal_client=office.settings.value.reveal_client,
    )
    # Whoever reads the field behind us must not go by what did not count here.
    unwanted = {"mt-priority"} if "mt_priority" in transaction.parameters else set()
    if transaction.names_only_from:
        unwanted |= OTHER_SENDERS
    completed = complete(
        letter.content,
        letter.header,
        now=now,
        message_id=message_id,
        hostname=office.hostname,
        sender=transaction.rewritten_from,
        also_without=unwanted,
    )
    return b"".join([received, *completed])


def _claimed(acceptance: Acceptance, part: Part, user: User) -> Claimed:
    """The delivery as the worker gets it, just as a claim from the table would give it."""
    assert part.lease is not None
    envelope = acceptance.envelope
    if len(part.recipients) < len(envelope.recipients):
        mine = set(part.recipients)
        envelope = envelope._replace(recipients=tuple(r for r in envelope.recipients if r.number in mine))
    return Claimed(
        key=DeliveryKey(acceptance.id, part.part),
        number=1,
        route_id=part.route_id,
        priority=acceptance.priority,
        rank_at=part.rank_at,
        accepted_at=acceptance.accepted_at,
        expires_at=acceptance.expires_at,
        lease=part.lease,
        origin=acceptance.origin,
        user_id=user.id,
        octets=len(acceptance.content),
        envelope=envelope,
        content=acceptance.content if len(acceptance.content) <= BRINGS_ALONG_OCTETS else None,
    )
