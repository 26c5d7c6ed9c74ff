"""What an attempt brings that its sender may want to hear of: failure, or that it was passed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.delivery.tried import Try
from relay.mail.disposition import Disposition, Outcome
from relay.mail.dsn import asks_for
from relay.mail.envelope import Envelope
from relay.notify.report import Action, Fate
from relay.queue.items import Claimed

News = Mapping[Action, Sequence[Fate]]


def news_of(claimed: Claimed, outcomes: Sequence[Outcome], tried: Try, *, is_tried_again: bool) -> News:
    """Sort the outcomes by the kind of news they are; those deferred are none if they are tried again.

    Whether anybody is told is for `relay.notify.report` to say; of what takes long, `late` tells.
    """
    envelope = claimed.envelope
    news: dict[Action, list[Fate]] = {}
    by_number = {recipient.number: recipient for recipient in envelope.recipients}
    is_owed_a_trace = _is_owed_a_trace(envelope, tried)
    for outcome in outcomes:
        recipient = by_number[outcome.number]
        is_due = False
        match outcome.disposition:
            case Disposition.DELIVERED:
                is_due = is_owed_a_trace
                if not (is_due or (asks_for(recipient.notify, "SUCCESS") and not tried.reports_on)):
                    continue
                action = Action.RELAYED
            case Disposition.DEFERRED if is_tried_again:
                continue
            case _:
                action = Action.FAILED
        is_unheard = outcome.number in tried.answers.unheard
        fate = Fate(
            recipient,
            outcome.reply,
            remote=None if is_unheard else tried.host,
            is_expired=action is Action.FAILED and outcome.disposition is Disposition.DEFERRED,
            is_due=is_due,
        )
        news.setdefault(action, []).append(fate)
    return news


def _is_owed_a_trace(envelope: Envelope, tried: Try) -> bool:
    """Whether passing it on is told of because of BY (RFC 2852 §4.1.4).

    A trace was asked for; or from here on nobody will tell that it is late.
    """
    if envelope.by_mode is None:
        return False
    return envelope.by_mode.endswith("T") or (envelope.by_mode == "N" and not tried.keeps_time)
