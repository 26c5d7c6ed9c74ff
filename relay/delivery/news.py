"""What an attempt brings that its sender may want to hear of: failure, delay, or that it was passed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from relay.delivery.rules import Rules
from relay.delivery.tried import Try
from relay.mail.disposition import Disposition, Outcome
from relay.mail.dsn import asks_for
from relay.mail.envelope import Envelope
from relay.notify.report import Action, Fate
from relay.queue.items import Claimed

News = Mapping[Action, Sequence[Fate]]


def news_of(
    claimed: Claimed, outcomes: Sequence[Outcome], tried: Try, *, retry_at: datetime | None, rules: Rules
) -> News:
    """Sort the outcomes by the kind of news they are; those who are tried again at *retry_at* may be none.

    Whether anybody is told is for `relay.notify.report` to say.
    """
    envelope = claimed.envelope
    news: dict[Action, list[Fate]] = {}
    is_late = retry_at is not None and passes_the_mark(claimed, tried.finished_at, retry_at, rules)
    by_number = {recipient.number: recipient for recipient in envelope.recipients}
    for outcome in outcomes:
        recipient = by_number[outcome.number]
        is_due = False
        match outcome.disposition:
            case Disposition.DELIVERED:
                is_due = _is_owed_a_trace(envelope, tried)
                if not (is_due or (asks_for(recipient.notify, "SUCCESS") and not tried.reports_on)):
                    continue
                action = Action.RELAYED
            case Disposition.DEFERRED if retry_at is not None:
                if not is_late:
                    continue
                action, is_due = Action.DELAYED, _is_told_when_late(envelope)
            case _:
                action = Action.FAILED
        is_unheard = outcome.number in tried.answers.unheard
        fate = Fate(
            recipient,
            outcome.reply,
            remote=None if is_unheard else tried.upstream.host or None,
            is_expired=action is Action.FAILED and outcome.disposition is Disposition.DEFERRED,
            is_due=is_due,
        )
        news.setdefault(action, []).append(fate)
    return news


def _is_told_when_late(envelope: Envelope) -> bool:
    return envelope.by_mode in {"N", "NT"}


def _is_owed_a_trace(envelope: Envelope, tried: Try) -> bool:
    """Whether passing it on is told of because of BY (RFC 2852 §4).

    A trace was asked for; or from here on nobody will tell that it is late.
    """
    if envelope.by_mode is None:
        return False
    return envelope.by_mode.endswith("T") or (_is_told_when_late(envelope) and not tried.keeps_time)


def passes_the_mark(claimed: Claimed, now: datetime, retry_at: datetime, rules: Rules) -> bool:
    """Whether the sender is to hear now that it takes long: it will not be tried again before that.

    Of all the waits of a delivery only one reaches over the mark, or it lies before the first, so this is
    told once.
    """
    envelope, patience = claimed.envelope, rules.settings.delay_notice_after
    mark = envelope.deliver_by if _is_told_when_late(envelope) else None
    if mark is None:
        if not patience:
            return False
        mark = max(claimed.accepted_at, envelope.hold_until or claimed.accepted_at) + patience
    return mark <= retry_at and (now < mark or claimed.number == 1)
