"""The report of what became of a message (RFC 3464): one letter per settlement and kind of news.

It goes the road of all mail: composed here, accepted into the queue in the transaction that notes what
it reports.  Its own sender is null, and nothing is ever reported about a message whose sender is null,
so that reports cannot breed reports (RFC 5321 §4.5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address

from relay.mail.address import Address
from relay.mail.dates import date_text
from relay.mail.dsn import asks_for, is_silent
from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.notify import templates
from relay.notify.compose import (
    Entity,
    entity,
    field,
    is_seven_bit,
    letter,
    multipart,
    raw_field,
    text_entity,
)
from relay.notify.lateness import wants_delay
from relay.notify.posting import Letter, post
from relay.notify.xtext import address_field, utf8_decoded, xtext_decoded
from relay.queue.items import Acceptance, Claimed, Origin
from relay.settings import Settings

MAX_RETURNED_OCTETS = 256 * 1024  # a whole message asked for with RET=FULL
MAX_RETURNED_HEADER_OCTETS = 64 * 1024
_MAX_DIAGNOSTIC = 900
_MAX_TOLD = 50  # recipients in the text for people; the part for programs has them all

RouteOf = Callable[[Envelope, str | None], Mapping[str, tuple[int, ...]]]


class Action(StrEnum):
    """What a report tells, by the names of RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one recipient.

    `reply` is the last word about it: of the server `remote`, or our own if that is None.
    `is_expired`: nobody refused it, but the time for trying is over.  `is_due`: the report is owed
    whatever NOTIFY does not ask for, because of the time that the sender set (RFC 2852).  `by_operator`: no
    server decided it, but whoever runs the relay.  `tried_at` is when it was tried last, if not just now;
    `is_untried`: it never was.
    """

    recipient: Recipient
    reply: Reply
    remote: str | None = None
    is_expired: bool = False
    is_due: bool = False
    by_operator: bool = False
    tried_at: datetime | None = None
    is_untried: bool = False


def compose_report(  # noqa: PLR0913  each is a fact of its own
    claimed: Claimed,
    fates: Sequence[Fate],
    *,
    action: Action,
    content: bytes,
    hostname: str,
    now: datetime,
    new_id: Callable[[datetime], str],
    settings: Settings,
    route_of: RouteOf,
) -> Acceptance | None:
    """Report *fates*, all of one kind, to the sender of the message; None if nobody is to be told.

    Nobody is told about a message with the null sender, nor about a recipient whose NOTIFY does not
    ask for such news (RFC 3461 §4.1).  *content* is the message as it was accepted.  *route_of* plans the
    way: the envelope and the user to the numbers of the recipients, by route.
    """
    sender = claimed.envelope.sender
    told = [fate for fate in fates if _is_wanted(fate, action, settings)]
    if sender == Address.NULL or not told:
        return None
    news = News(claimed, action, told, hostname, now)
    report_id = new_id(now)
    written = letter(
        _report(news, content, report_id),
        letter_id=report_id,
        to=sender,
        subject=_subject(news),
        hostname=hostname,
        now=now,
        automatic="auto-replied",
    )
    return post(
        Letter(report_id, sender, _subject(news), written),
        origin=Origin.BOUNCE,
        hostname=hostname,
        now=now,
        settings=settings,
        route_of=lambda envelope: route_of(envelope, claimed.user_id),
        about=claimed.key.message_id,
    )


@dataclass(frozen=True, slots=True)
class News:
    """All that one report tells, and of which message."""

    claimed: Claimed
    action: Action
    fates: Sequence[Fate]
    hostname: str
    now: datetime

    @property
    def words(self) -> templates.ReportWords:
        """How news of this kind is put to people."""
        return templates.REPORTS[self.action.value]

    @property
    def is_for_good(self) -> bool:
        """Whether nothing more will be tried."""
        return self.action is Action.FAILED


def _is_wanted(fate: Fate, action: Action, settings: Settings) -> bool:
    """Whether the sender wants to hear of it: FAILURE unless he says otherwise (RFC 3461 §4.1)."""
    notify = fate.recipient.notify
    if fate.is_due:
        return not is_silent(notify)
    match action:
        case Action.FAILED:
            return notify is None or asks_for(notify, "FAILURE")
        case Action.DELAYED:
            return wants_delay(notify, settings)
        case Action.RELAYED:
            return asks_for(notify, "SUCCESS")


def _report(news: News, content: bytes, report_id: str) -> Entity:
    may_be_whole = news.is_for_good and not any(_is_for_its_size(fate.reply) for fate in news.fates)
    returned, what_it_is = _returned(news.claimed.envelope, content, may_be_whole=may_be_whole)
    kind, status = _status(news)
    parts = [text_entity(_text(news, what_it_is), description="What happened"), status]
    return multipart(
        f"multipart/report; report-type={kind}",
        parts if returned is None else [*parts, returned],
        boundary=f"=_report_{report_id}",
    )


def _is_for_its_size(reply: Reply) -> bool:
    """Whether the message was refused as too large (RFC 1870 §6.1): a report with all of it would be too."""
    return reply.enhanced == "3.4" or (reply.code == 552 and not reply.enhanced)


def _subject(news: News) -> str:
    first, *others = (str(fate.recipient.address) for fate in news.fates)
    recipients = first + (f" and {len(others)} more" if others else "")
    return news.words.subject.format(recipients=recipients)


def _text(news: News, what_comes_back: str) -> str:
    count, words, claimed = len(news.fates), news.words, news.claimed
    blocks = [_told(news, fate) for fate in news.fates[:_MAX_TOLD]]
    if count > _MAX_TOLD:
        blocks.append(f"… and {count - _MAX_TOLD} more, which the report below names.")
    return templates.REPORT.format(
        hostname=news.hostname,
        what_happened=words.one if count == 1 else words.many.format(count=count),
        what_follows=words.what_follows,
        message=f"Sent: {date_text(claimed.accepted_at)}\nIts number here: {claimed.key.message_id}",
        recipients="\n\n".join(blocks),
        returned=what_comes_back,
    )


def _told(news: News, fate: Fate) -> str:
    speaker = f"The server {fate.remote} said" if fate.remote else "What we noted"
    if not news.is_for_good:
        return templates.REPORT_ANSWER.format(
            address=fate.recipient.address, said_by=speaker, reply=fate.reply
        )
    why, advice = _meaning(fate)
    if fate.is_expired:
        speaker = f"The last answer, of {fate.remote}" if fate.remote else "What we noted last"
    elif fate.by_operator:
        speaker = "The reason given"
    return templates.REPORT_RECIPIENT.format(
        address=fate.recipient.address, why=why, said_by=speaker, reply=fate.reply, advice=advice
    )


def _meaning(fate: Fate) -> tuple[str, str]:
    """What happened, and what the sender can do about it."""
    if fate.by_operator:
        return templates.GIVEN_UP_BY_OPERATOR
    if fate.is_expired:
        return templates.NEVER_SENT if fate.is_untried else templates.WHY["4.7"]
    return templates.meaning(fate.reply)


def _status(news: News) -> tuple[str, Entity]:
    """The part for programs (RFC 3464 §2) and its subtype, by which the whole is called (RFC 6522 §3).

    With addresses beyond ASCII it has the form of RFC 6533 §3.
    """
    envelope = news.claimed.envelope
    held = envelope.hold_until
    groups = [
        raw_field("Original-Envelope-Id", xtext_decoded(envelope.envid)) if envelope.envid else b"",
        raw_field("Reporting-MTA", f"dns; {news.hostname}"),
        raw_field("Arrival-Date", date_text(news.claimed.accepted_at)),
        # RFC 2852 §5: by when the sender wanted it delivered
        raw_field("Deliver-By-Date", date_text(envelope.deliver_by)) if envelope.deliver_by else b"",
        # RFC 4865 §5.1.2; an interval is told as the moment that it came to
        raw_field("Future-Release-Request", f"until;{_moment(held)}") if held else b"",
    ]
    body = b"".join(groups) + b"".join(b"\r\n" + _recipient_group(news, fate) for fate in news.fates)
    kind = "delivery-status" if body.isascii() else "global-delivery-status"
    return kind, entity(f"message/{kind}", body, description="Delivery report")


def _moment(at: datetime) -> str:
    """Write it as RFC 3339 does, in UTC."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _recipient_group(news: News, fate: Fate) -> bytes:
    recipient, reply = fate.recipient, fate.reply
    lines = [
        raw_field("Original-Recipient", _original(recipient.orcpt)) if recipient.orcpt else b"",
        raw_field("Final-Recipient", address_field(recipient.address)),
        raw_field("Action", news.action.value),
        raw_field("Status", _status_code(news, fate)),
        raw_field("Remote-MTA", f"dns; {_mta_name(fate.remote)}") if fate.remote else b"",
        field("Diagnostic-Code", f"{'smtp' if fate.remote else 'x-relay'}; {_diagnostic(reply)}"),
    ]
    is_late = news.action is Action.DELAYED  # perhaps not tried at all, for its upstream is down
    if (tried_at := fate.tried_at or (None if fate.is_untried or is_late else news.now)) is not None:
        lines.append(raw_field("Last-Attempt-Date", date_text(tried_at)))
    if is_late:
        lines.append(raw_field("Will-Retry-Until", date_text(news.claimed.expires_at)))
    return b"".join(lines)


def _status_code(news: News, fate: Fate) -> str:
    """The status of RFC 3463; time that was over is X.4.7, for good where the sender set it (RFC 2852)."""
    if not fate.is_expired:
        return fate.reply.status
    is_too_late = news.is_for_good and news.claimed.envelope.is_returned_when_late
    return "5.4.7" if is_too_late else "4.4.7"


def _original(orcpt: str) -> str:
    """ORCPT is `type;xtext`; the report has the address itself (RFC 3464 §2.3.1, RFC 3461 §5.2.1)."""
    kind, _, address = orcpt.partition(";")
    return f"{kind}; {utf8_decoded(address) if kind.lower() == 'utf-8' else xtext_decoded(address)}"


def _mta_name(remote: str) -> str:
    """A host's name; an address as the literal that RFC 3464 §2.1.2 wants (RFC 5321 §4.1.3)."""
    name = "".join(c if c.isascii() and c.isprintable() else "?" for c in remote)
    try:
        address = ip_address(name)
    except ValueError:
        return name
    return f"[{'IPv6:' if address.version == 6 else ''}{address}]"


def _diagnostic(reply: Reply) -> str:
    """The reply as it was given, in printable ASCII (RFC 3464 §2.3.6)."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in str(reply))[:_MAX_DIAGNOSTIC]


def _returned(envelope: Envelope, content: bytes, *, may_be_whole: bool) -> tuple[Entity | None, str]:
    """What comes back of the message, and what the text calls it.

    The message itself if it was asked for, is not too large for us or the server that refused it, and
    failed: other news never bring it (RFC 3461 §6.2).  One that is not 7-bit goes as message/global,
    which alone may be encoded (RFC 6532 §3.7).  Nothing of one that must not go unencrypted: a report
    may (RFC 8689 §5).
    """
    if envelope.require_tls:
        return None, "nothing"
    wants_all = may_be_whole and (envelope.ret or "").upper() == "FULL"
    if wants_all and len(content) <= MAX_RETURNED_OCTETS:
        kind = "message/rfc822" if is_seven_bit(content) else "message/global"
        return entity(kind, content, description="Your message"), "a copy"
    end = -2 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n")
    header = content if end == -1 else content[: end + 2]
    if len(header) > MAX_RETURNED_HEADER_OCTETS:
        header = header[: header.rfind(b"\r\n", 0, MAX_RETURNED_HEADER_OCTETS) + 2]
    kind = "text/rfc822-headers" if header.isascii() else "message/global-headers"
    return entity(kind, header, description="The header of your message"), "the header"
