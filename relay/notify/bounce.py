"""The report of what failed for good (RFC 3464): one letter per settlement, to whoever sent the message.

It goes the road of all mail: composed here, accepted into the queue in the transaction that notes the
failure.  Its own sender is null, and nothing is ever reported about a message whose sender is null, so
that reports cannot breed reports (RFC 5321 §4.5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.mail.address import Address
from relay.mail.dates import date_text
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
from relay.notify.posting import Letter, post
from relay.notify.xtext import address_field, xtext_decoded
from relay.queue.items import Acceptance, Claimed, Origin
from relay.settings import Settings

MAX_RETURNED_OCTETS = 256 * 1024  # a whole message asked for with RET=FULL
MAX_RETURNED_HEADER_OCTETS = 64 * 1024
_MAX_DIAGNOSTIC = 900
_MAX_TOLD = 50  # recipients in the text for people; the part for programs has them all

RouteOf = Callable[[Envelope, str | None], Mapping[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient that will not get the message.

    `reply` is the last word about it: of the server `remote`, or our own if that is None.
    `is_expired`: nobody refused it, but the time for trying is over.
    """

    recipient: Recipient
    reply: Reply
    remote: str | None = None
    is_expired: bool = False


def compose_bounce(  # noqa: PLR0913  each is a fact of its own
    claimed: Claimed,
    failures: Sequence[Failure],
    *,
    content: bytes,
    hostname: str,
    now: datetime,
    new_id: Callable[[datetime], str],
    settings: Settings,
    route_of: RouteOf,
) -> Acceptance | None:
    """Report *failures* to the sender of the message; None if nobody is to be told.

    Nobody is told about a message with the null sender, nor about a recipient whose NOTIFY does not
    name FAILURE (RFC 3461 §4.1).  *content* is the message as it was accepted.  *route_of* plans the
    way: the envelope and the user to the numbers of the recipients, by route.
    """
    sender = claimed.envelope.sender
    told = [failure for failure in failures if wants_failure(failure.recipient)]
    if sender == Address.NULL or not told:
        return None
    bounce_id = new_id(now)
    written = letter(
        _report(claimed, told, content=content, hostname=hostname, now=now, bounce_id=bounce_id),
        letter_id=bounce_id,
        to=sender,
        subject=_subject(told),
        hostname=hostname,
        now=now,
        automatic="auto-replied",
    )
    return post(
        Letter(bounce_id, sender, _subject(told), written),
        origin=Origin.BOUNCE,
        hostname=hostname,
        now=now,
        settings=settings,
        route_of=lambda envelope: route_of(envelope, claimed.user_id),
    )


def wants_failure(recipient: Recipient) -> bool:
    """Whether the sender wants to hear of this recipient's failure (RFC 3461 §4.1)."""
    return recipient.notify is None or "FAILURE" in recipient.notify.upper().split(",")


def _report(
    claimed: Claimed,
    told: Sequence[Failure],
    *,
    content: bytes,
    hostname: str,
    now: datetime,
    bounce_id: str,
) -> Entity:
    returned, is_whole = _returned(claimed.envelope, content)
    text = _text(claimed, told, hostname=hostname, is_whole=is_whole)
    return multipart(
        "multipart/report; report-type=delivery-status",
        [
            text_entity(text, description="What happened"),
            _status(claimed, told, hostname=hostname, now=now),
            returned,
        ],
        boundary=f"=_report_{bounce_id}",
    )


def _subject(told: Sequence[Failure]) -> str:
    first, *others = (str(failure.recipient.address) for failure in told)
    recipients = first + (f" and {len(others)} more" if others else "")
    return templates.BOUNCE_SUBJECT.format(recipients=recipients)


def _text(claimed: Claimed, told: Sequence[Failure], *, hostname: str, is_whole: bool) -> str:
    blocks = [_told(failure) for failure in told[:_MAX_TOLD]]
    if len(told) > _MAX_TOLD:
        blocks.append(f"… and {len(told) - _MAX_TOLD} more, which the report below names.")
    happened = templates.FAILED_ONE if len(told) == 1 else templates.FAILED_MANY.format(count=len(told))
    return templates.BOUNCE.format(
        hostname=hostname,
        what_happened=happened,
        nothing_to_come=templates.NOTHING_TO_COME,
        message=f"Sent: {date_text(claimed.accepted_at)}\nIts number here: {claimed.key.message_id}",
        recipients="\n\n".join(blocks),
        returned="a copy" if is_whole else "the header",
    )


def _told(failure: Failure) -> str:
    why, advice = templates.WHY["4.7"] if failure.is_expired else templates.meaning(failure.reply)
    speaker = f"The server {failure.remote} said" if failure.remote else "What we noted"
    if failure.is_expired:
        speaker = f"The last answer, of {failure.remote}" if failure.remote else "What we noted last"
    return templates.BOUNCE_RECIPIENT.format(
        address=failure.recipient.address, why=why, said_by=speaker, reply=failure.reply, advice=advice
    )


def _status(claimed: Claimed, told: Sequence[Failure], *, hostname: str, now: datetime) -> Entity:
    """The part for programs (RFC 3464 §2); with addresses beyond ASCII in the form of RFC 6533 §3."""
    envelope = claimed.envelope
    groups = [
        raw_field("Original-Envelope-Id", xtext_decoded(envelope.envid)) if envelope.envid else b"",
        raw_field("Reporting-MTA", f"dns; {hostname}"),
        raw_field("Arrival-Date", date_text(claimed.accepted_at)),
    ]
    body = b"".join(groups) + b"".join(b"\r\n" + _recipient_group(failure, now) for failure in told)
    kind = "message/delivery-status" if body.isascii() else "message/global-delivery-status"
    return entity(kind, body, description="Delivery report")


def _recipient_group(failure: Failure, now: datetime) -> bytes:
    recipient, reply = failure.recipient, failure.reply
    lines = [
        raw_field("Original-Recipient", _original(recipient.orcpt)) if recipient.orcpt else b"",
        raw_field("Final-Recipient", address_field(recipient.address)),
        raw_field("Action", "failed"),
        raw_field("Status", "4.4.7" if failure.is_expired else reply.status),
        raw_field("Remote-MTA", f"dns; {_token(failure.remote)}") if failure.remote else b"",
        field("Diagnostic-Code", f"{'smtp' if failure.remote else 'x-relay'}; {_diagnostic(reply)}"),
        raw_field("Last-Attempt-Date", date_text(now)),
    ]
    return b"".join(lines)


def _original(orcpt: str) -> str:
    """ORCPT is `type;xtext`; the report has the address itself (RFC 3464 §2.3.1, RFC 3461 §5.2.1)."""
    kind, _, address = orcpt.partition(";")
    return f"{kind}; {xtext_decoded(address)}"


def _token(remote: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in remote)


def _diagnostic(reply: Reply) -> str:
    """The reply as it was given, in printable ASCII (RFC 3464 §2.3.6)."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in str(reply))[:_MAX_DIAGNOSTIC]


def _returned(envelope: Envelope, content: bytes) -> tuple[Entity, bool]:
    """The message itself if it was asked for and is fit to be sent back, else its header only."""
    wants_all = (envelope.ret or "").upper() == "FULL"
    if wants_all and len(content) <= MAX_RETURNED_OCTETS and is_seven_bit(content):
        return entity("message/rfc822", content, description="Your message"), True
    end = -2 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n")
    header = content if end == -1 else content[: end + 2]
    if len(header) > MAX_RETURNED_HEADER_OCTETS:
        header = header[: header.rfind(b"\r\n", 0, MAX_RETURNED_HEADER_OCTETS) + 2]
    kind = "text/rfc822-headers" if header.isascii() else "message/global-headers"
    return entity(kind, header, description="The header of your message"), False
