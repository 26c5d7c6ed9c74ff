"""The copy that an upstream's archive gets of what it took: a message of its own, as safe as any."""

from __future__ import annotations

from datetime import datetime

from relay import log
from relay.delivery.rules import Rules
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.notify.archive import archive_notice
from relay.queue.items import Acceptance, Claimed, Notice, Origin, Part, Settlement
from relay.queue.rank import rank_at
from relay.routing.upstreams import Upstream

_NOT_COPIED = frozenset({Origin.BOUNCE, Origin.ARCHIVE})


def archive_copies(
    claimed: Claimed, content: bytes, upstream: Upstream, now: datetime, rules: Rules
) -> tuple[Acceptance, ...]:
    """The copy of what *upstream* just took of this delivery, if its archive wants one.

    It is made for each transaction that was taken, and the queue keeps the first of a message, also
    of one sent in parts, or to some only at the second try.  It goes the way of the original, behind
    all other mail; its ENVID (RFC 3461 §4.4) says of which message it is.
    What must go by TLS all the way must do so in a copy, too (RFC 8689).
    """
    if upstream.archive_address is None or claimed.origin in _NOT_COPIED:
        return ()
    envelope = Envelope(
        sender=upstream.sender_address or claimed.envelope.sender,
        recipients=(Recipient(1, upstream.archive_address, notify="NEVER"),),
        body=claimed.envelope.body,
        smtputf8=claimed.envelope.smtputf8,
        envid=claimed.key.message_id,
        require_tls=claimed.envelope.require_tls,
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
            about=claimed.key.message_id,
        ),
    )


def lost_copies(claimed: Claimed, reply: Reply, now: datetime, rules: Rules) -> tuple[Notice, ...]:
    """What the operator is to hear of *claimed*, which failed with *reply*: only of an archive's copy."""
    if claimed.origin is not Origin.ARCHIVE:
        return ()
    notice = archive_notice(
        str(claimed.envelope.recipients[0].address),
        original=claimed.envelope.envid or "unknown",
        copy=claimed.key.message_id,
        reply=str(reply),
        notice_id=rules.new_id(now),
    )
    return (notice,)


def warn_of_lost_copies(settlement: Settlement) -> None:
    """Log each copy for an archive that failed, once that is committed."""
    for notice in settlement.notices:
        log.archive_failed(**notice.facts)
