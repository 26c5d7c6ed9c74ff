"""What becomes of a delivery after one attempt: an upstream's answers made into a settlement.

Law 2: each attempt yields exactly one outcome for every recipient.  That is checked here, before
anything is written down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from relay import log
from relay.delivery.archive import archive_copies, lost_copies
from relay.delivery.classify import is_enough_for_now
from relay.delivery.news import news_of
from relay.delivery.reports import reports_of
from relay.delivery.rules import Rules
from relay.delivery.tried import Try
from relay.mail.disposition import Disposition, Outcome, disposition_of
from relay.mail.envelope import Recipient
from relay.mail.reply import Reply
from relay.notify.report import Action
from relay.queue.items import Acceptance, AttemptRecord, Claimed, Notice, Origin, Settlement
from relay.queue.parts import cut
from relay.queue.rank import rank_at

_IN_ORDER = tuple(Disposition)
_SOON = timedelta(minutes=1)  # sooner than this it is not tried again, however little time is left
_REMOTE_LENGTH = 255  # of its column; a name in DNS may have as many, and its address follows
_UNREPORTED = Reply(451, "3.0", "A fault of the relay itself kept it from reporting this; the log says more")


def settlement_of(claimed: Claimed, content: bytes, tried: Try, rules: Rules) -> Settlement:
    """Conclude an attempt: who has it, who is tried again and when, who failed and who hears of it."""
    now = tried.finished_at
    outcomes = _outcomes(claimed.envelope.recipients, tried.answers.replies)
    left: tuple[Outcome, ...] = ()
    ends = {outcome.disposition for outcome in outcomes}
    if Disposition.DEFERRED in ends:
        outcomes, left = _parted(outcomes)
        ends = {outcome.disposition for outcome in outcomes}
    retry_at = _retry_at(claimed, tried, rules) if Disposition.DEFERRED in ends else None
    is_expired = retry_at is not None and retry_at >= claimed.expires_at
    followers: tuple[Acceptance, ...] = ()
    notices: tuple[Notice, ...] = ()
    news = news_of(claimed, outcomes, tried, is_tried_again=not is_expired)
    if news:
        followers = reports_of(claimed, content, news, now, rules)
        if Action.FAILED in news:
            notices = lost_copies(claimed, news[Action.FAILED][0].reply, now, rules)
    if Disposition.DELIVERED in ends:
        followers += archive_copies(claimed, tried.sent or content, tried.upstream, now, rules)
    return Settlement(
        claimed=claimed,
        record=_record(tried, outcomes),
        outcomes=outcomes,
        retry_at=None if is_expired else retry_at,
        rank_at=None if is_expired else retry_at and rank_at(retry_at, claimed.priority, rules.settings),
        bounces=followers,
        notices=notices,
        keeps_content=tried.keeps_content,
        is_expired=is_expired,
        left=cut(left, tried.upstream.limits.recipients or len(left)) if left else (),
    )


def bare_settlement_of(claimed: Claimed, tried: Try, rules: Rules) -> Settlement:
    """Conclude an attempt whose reports could not be written: who has it, has it; all others wait.

    A failure is never noted without its report, so those who failed are tried again.
    """
    answers = tried.answers.replies
    kept = {r.number: answers.get(r.number, _UNREPORTED) for r in claimed.envelope.recipients}
    replies = {number: reply if reply.is_success else _UNREPORTED for number, reply in kept.items()}
    outcomes = _outcomes(claimed.envelope.recipients, replies)
    retry_at = _retry_at(claimed, tried, rules)
    return Settlement(
        claimed=claimed,
        record=_record(tried, outcomes),
        outcomes=outcomes,
        retry_at=retry_at,
        rank_at=rank_at(retry_at, claimed.priority, rules.settings),
        keeps_content=tried.keeps_content,
    )


def tell(settlement: Settlement) -> None:
    """Log the attempt: one line for each way in which it ended."""
    claimed, record = settlement.claimed, settlement.record
    delivery = str(claimed.key)
    replies: dict[Disposition, list[Reply]] = {}
    for outcome in settlement.outcomes:
        replies.setdefault(outcome.disposition, []).append(outcome.reply)
    for disposition in _IN_ORDER:
        if (those := replies.get(disposition)) is None:
            continue
        log.attempt_finished(
            delivery=delivery,
            number=claimed.number,
            upstream=record.upstream or "",
            seconds=(record.finished_at - record.started_at).total_seconds(),
            disposition=disposition,
            recipients=len(those),
            reply=those[0],
        )
        if disposition is Disposition.DEFERRED and record.perhaps_delivered:
            log.perhaps_delivered(
                delivery=delivery, upstream=record.upstream or "", again_at=settlement.retry_at
            )
        if disposition is Disposition.DEFERRED and settlement.retry_at is not None:
            log.delivery_deferred(delivery=delivery, until=settlement.retry_at, reason=str(those[0]))
    if settlement.left:
        log.split_off(
            delivery=delivery,
            recipients=sum(map(len, settlement.left)),
            deliveries=len(settlement.left),
            reason=str(settlement.left[0][0].reply),
        )


def announce_followers(settlement: Settlement, accepted: Collection[str]) -> None:
    """Log the messages of our own that came of it, by the ids of those that were *accepted*."""
    for follower in settlement.bounces:
        if follower.id in accepted:
            announce(follower)


def announce(ours: Acceptance) -> None:
    """Log a message of our own, once it is committed."""
    log.message_accepted(
        message=ours.id,
        origin=ours.origin.value,
        session=None,
        user=None,
        sender=str(ours.envelope.sender),
        recipients=len(ours.envelope.recipients),
        octets=len(ours.content),
    )
    if ours.origin is Origin.BOUNCE:
        log.reported(message=ours.about, report=ours.id)


def _outcomes(recipients: Sequence[Recipient], replies: Mapping[int, Reply]) -> tuple[Outcome, ...]:
    outcomes = tuple(
        [
            Outcome(recipient.number, disposition_of(reply), reply)
            for recipient in recipients
            if (reply := replies.get(recipient.number)) is not None
        ]
    )
    if not len(replies) == len(recipients) == len(outcomes):
        numbers = [r.number for r in recipients]
        raise AssertionError(f"recipients {numbers} were tried, but {sorted(replies)} are accounted for")
    return outcomes


def _parted(outcomes: tuple[Outcome, ...]) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
    """Those who were in the transaction, and those for whom it had no room, who go on at once.

    If there was room for nobody, all are to wait: so each further transaction has fewer recipients.
    """
    left = tuple([outcome for outcome in outcomes if is_enough_for_now(outcome.reply)])
    if not left or len(left) == len(outcomes):
        return outcomes, ()
    return tuple([outcome for outcome in outcomes if not is_enough_for_now(outcome.reply)]), left


def _retry_at(claimed: Claimed, tried: Try, rules: Rules) -> datetime:
    """When those deferred are tried again.

    Late if the upstream may have taken the message: what is sent twice is not undone.  Else, if its sender
    wants it back soon, when half of the time that is left is over.
    """
    delay = rules.settings.schedule.delay_after(claimed.number, rules.rng)
    if tried.answers.perhaps_delivered:
        delay = max(delay, rules.settings.retry_perhaps_delivered)
    elif claimed.envelope.is_returned_when_late:
        delay = min(delay, max((claimed.expires_at - tried.finished_at) / 2, _SOON))
    return tried.finished_at + delay


def _record(tried: Try, outcomes: Sequence[Outcome]) -> AttemptRecord:
    """The attempt as a whole: its word is that of those who have it, else that of the first."""
    word = outcomes[0]
    if word.disposition is not Disposition.DELIVERED:
        word = next((each for each in outcomes if each.disposition is Disposition.DELIVERED), word)
    return AttemptRecord(
        upstream=tried.upstream.name,
        started_at=tried.started_at,
        finished_at=tried.finished_at,
        reply=word.reply,
        remote=tried.remote and tried.remote[:_REMOTE_LENGTH],
        tls=tried.tls,
        perhaps_delivered=tried.answers.perhaps_delivered,
        left_alone=tried.left_alone,
    )
