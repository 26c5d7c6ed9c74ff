"""The copy that an upstream's archive gets of what it took: a message of its own, as safe as any."""

from __future__ import annotations

from datetime import datetime

from relay.delivery.rules import Rules
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.queue.items import Acceptance, Claimed, Origin, Part
from relay.queue.rank import rank_at
from relay.routing.upstreams import Upstream

_NOT_COPIED = frozenset({Origin.BOUNCE, Origin.ARCHIVE})


def archive_copies(
    claimed: Claimed, content: bytes, upstream: Upstream, now: datetime, rules: Rules
) -> tuple[Acceptance, ...]:
    """The copy of what *upstream* just took of this delivery, if its archive wants one.

    It is made for each transaction that was taken, and the queue keeps the first of a message, also
    of one sent in parts, or to some only at the second try.  It goes the way of the original, behind
    all other mail, and nobody is told if it does not arrive.
    """
    if upstream.archive_address is None or claimed.origin in _NOT_COPIED:
        return ()
    envelope = Envelope(
        sender=upstream.sender_address or claimed.envelope.sender,
        recipients=(Recipient(1, upstream.archive_address, notify="NEVER"),),
        body=claimed.envelope.body,
        smtputf8=claimed.envelope.smtputf8,
    )
    priority = Priority.VERY_LOW
    rank = rank_at(now, priority, rules.settings)
    return (
        Acceptance(
            id=rules.new_id(now),
            accepted_at=now,
            expires_at=rules.settings.schedule.gives_up_at(now),
            origin=Origin.ARCHIVE,
            envelope=envelope,
            content=content,
            priority=priority,
            parts=(Part(1, claimed.route_id, (1,), due_at=now, rank_at=rank),),
        ),
    )
