"""The commit behind 250: a stamped message is kept, or its user's quota says no."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from relay import log
from relay.mail.reply import Reply
from relay.policy.checks.quota import beyond_whole
from relay.policy.decision import Reject
from relay.policy.quotas import Quota
from relay.policy.submission import User
from relay.queue.accept import accept
from relay.queue.items import Acceptance
from relay.queue.metered import Metered, Metering, accept_metered
from relay.submission import replies
from relay.submission.stamp import Stamped
from relay.submission.used_up import UsedUp

if TYPE_CHECKING:
    from relay.submission.handler import Office

QUOTA_USED_UP = Reply(450, "7.1", "Sending limit reached ({quota}); try again later")
RULE = "within_quotas"
_KEPT = Metering(is_kept=True)


async def keep(office: Office, user: User, made: Stamped, used_up: UsedUp) -> Reply | Reject:
    """Commit the message, and give the worker what is leased to it; or say which quota is used up."""
    acceptance, metering = made.acceptance, _KEPT
    try:
        if user.limits.quotas:
            metering = await _measured(office, user, acceptance)
        else:
            await office.db.write(accept, acceptance, octets=len(acceptance.content))
    except BaseException:
        _give_up(office, made)
        raise
    if not metering.is_kept:
        _give_up(office, made)
        return _refusal(used_up, user, metering, acceptance.accepted_at)
    # The message is ours from here on: the commit above is our promise.
    log.message_accepted(
        message=acceptance.id,
        origin=str(acceptance.origin),
        session=acceptance.session.id if acceptance.session else None,
        user=user.name,
        sender=str(acceptance.envelope.sender),
        recipients=len(acceptance.envelope.recipients),
        octets=len(acceptance.content),
    )
    if metering.exceeded is not None:
        _give_up(office, made)  # it is held
    else:
        for claimed in made.in_hand:
            office.handover.put(claimed)
    return replies.QUEUED.saying(f"Queued as {acceptance.id}")


def nothing_left_of(quota: Quota) -> Reject:
    """The refusal of a message for which nothing of *quota* is left."""
    return Reject(QUOTA_USED_UP.saying(QUOTA_USED_UP.text.format(quota=quota)), RULE)


def _refusal(used_up: UsedUp, user: User, metering: Metering, now: datetime) -> Reject:
    quota = metering.exceeded
    assert quota is not None, "what is not kept went beyond a quota"
    if metering.was_used_up:
        used_up.learn(user, quota, now)
    return beyond_whole(quota) if metering.is_beyond_all else nothing_left_of(quota)


async def _measured(office: Office, user: User, acceptance: Acceptance) -> Metering:
    """Commit the message if the user's quotas leave room for it."""
    notice_id = office.new_id(acceptance.accepted_at)
    metered = Metered(acceptance, user.id, user.limits, notice_id)
    return await office.db.write(accept_metered, metered, octets=len(acceptance.content))


def _give_up(office: Office, made: Stamped) -> None:
    for claimed in made.in_hand:
        office.handover.done(claimed)
