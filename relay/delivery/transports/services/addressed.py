"""Messages for services that send to whomever the header names: made to name exactly the recipients."""

from __future__ import annotations

from relay.delivery.transports.services.base import Parcel, Unfit, refuse_reports
from relay.mail.address import Address
from relay.mail.addressees import addressees
from relay.mail.header import BadHeader, scan, without
from relay.mail.mailbox import BadMailbox, Mailbox
from relay.mail.reply import Reply

_SENDS_TO_OTHERS = Reply(
    554,
    "6.3",
    "This service sends to everybody in To and Cc, and the message is not for all of them: "
    "it needs an upstream of another kind",
)
_TOO_MANY = Reply(
    554,
    "5.3",
    "This service sends to everybody in To and Cc at each request, and the message has more recipients than "
    "fit in one: it needs an upstream of another kind",
)


def addressed(parcel: Parcel) -> bytes:
    """The message with those who are named nowhere in a Bcc, which the service takes out again.

    Raises Unfit where it has no sender, or would go to somebody else, or to somebody twice.
    """
    refuse_reports(parcel)
    try:
        header = scan(parcel.content)
        named = [mailbox for name in ("to", "cc") for mailbox in addressees(header, name)]
    except (BadHeader, BadMailbox):
        raise Unfit(
            _SENDS_TO_OTHERS.saying("It cannot be told for certain whom To and Cc of the message name")
        ) from None
    content = without(parcel.content, header, {"bcc"})
    listed = ",\r\n ".join(address.plainest for address in unnamed(parcel, named))
    return f"Bcc: {listed}\r\n".encode() + content if listed else content


def unnamed(parcel: Parcel, named: list[Mailbox]) -> list[Address]:
    """The recipients who are not among *named*, to whom it is sent in any case.

    Raises Unfit where it would go to somebody else.  Who is named would get it again with each
    further request, so that it must go in one.
    """
    keys = {mailbox.address.key for mailbox in named}
    if not keys <= {recipient.address.key for recipient in parcel.envelope.recipients}:
        raise Unfit(_SENDS_TO_OTHERS)
    if keys and len(parcel.recipients) < len(parcel.envelope.recipients):
        raise Unfit(_TOO_MANY)
    return [r.address for r in parcel.recipients if r.address.key not in keys]
