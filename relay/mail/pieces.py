"""A message taken apart into plain values, for who will not have it as it is; or the reason why it cannot be.

Whoever puts it together again writes From, To, Cc, Reply-To and Subject anew, and the body; so what is taken
apart here is only a message that says the same afterwards.  Not kept are the fields that every
sender makes for itself (Date, MIME-Version, the encodings) and what the road left behind (Received).
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.mail.addressees import addressees
from relay.mail.bodies import DoesNotFit, File, bodies_of
from relay.mail.encoded import BadCharset, BadEncodedWord, exactly_decoded
from relay.mail.entity import BadEntity, read
from relay.mail.header import BadHeader, Field, Header, scan
from relay.mail.mailbox import BadMailbox, Mailbox
from relay.mail.parametrised import BadField

MOST_FIELD_OCTETS = 998  # of a line, and so of what nobody may fold for us (RFC 5322 §2.1.1)

_SIGNED = frozenset({"dkim-signature", "domainkey-signature", "arc-message-signature", "arc-seal"})
_ONCE = frozenset({"from", "to", "cc", "reply-to", "subject", "message-id", "sender"})
_MADE_ANEW = _ONCE | {
    "bcc", "date", "mime-version", "content-type", "content-transfer-encoding", "content-disposition",
    "received", "return-path",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a message says.

    `text` and `html` are None where there is none; `message_id` has its brackets, "" where there is
    none; `fields` are all the others in their order, names written Like-This, values in printable ASCII.
    """

    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    message_id: str
    text: str | None
    html: str | None
    files: tuple[File, ...]
    fields: tuple[tuple[str, str], ...]


def take_apart(content: bytes) -> Pieces:
    """Take *content* apart, its line ends CRLF.  Raises DoesNotFit, the reason a clause: "it is signed".

    Takes about as long as decoding its files.
    """
    try:
        header = scan(content)
        _refuse_what_is_beyond_fields(header)
        bodies = bodies_of(read(content))
        return Pieces(
            sender=_sender(header),
            to=_mailboxes(header, "to"),
            cc=_mailboxes(header, "cc"),
            reply_to=_mailboxes(header, "reply-to"),
            subject=_subject(header.first("subject")),
            message_id=_ascii(found) if (found := header.first("message-id")) else "",
            text=bodies.text,
            html=bodies.html,
            files=tuple(bodies.files),
            fields=tuple((each.name.title(), _ascii(each)) for each in header.fields if _is_kept(each)),
        )
    except BadHeader as fault:
        raise DoesNotFit(f"its header cannot be understood: {fault}") from None
    except (BadEntity, BadField, BadCharset, BadEncodedWord) as fault:
        raise DoesNotFit(str(fault)) from None


def _refuse_what_is_beyond_fields(header: Header) -> None:
    if not _SIGNED.isdisjoint(header.by_name):
        raise DoesNotFit("it is signed (DKIM)")
    for name, fields in header.by_name.items():
        if name in _ONCE and len(fields) > 1:
            raise DoesNotFit(f"the field {name.title()} is there twice")
        if name.startswith("resent-"):
            raise DoesNotFit("it was sent again by somebody else (Resent)")


def _is_kept(field: Field) -> bool:
    if field.name.startswith("content-") and field.name not in _MADE_ANEW | {"content-language"}:
        raise DoesNotFit(f"it has the field {field.name.title()}")
    return field.name not in _MADE_ANEW


def _sender(header: Header) -> Mailbox:
    found = _mailboxes(header, "from")
    if len(found) != 1:
        raise DoesNotFit("From names nobody, or more than one")
    for other in _mailboxes(header, "sender"):
        if other.address.key != found[0].address.key:
            raise DoesNotFit("Sender is another than From")
    return found[0]


def _mailboxes(header: Header, name: str) -> tuple[Mailbox, ...]:
    try:
        for field in header.all(name):
            exactly_decoded(field.text)  # a name that had to be guessed at would be told for good
        found = addressees(header, name)
    except BadMailbox as fault:
        raise DoesNotFit(f"{name.title()} cannot be understood: {fault}") from None
    for mailbox in found:
        if not mailbox.address.local.isascii():
            raise DoesNotFit(f"{name.title()} has an address that is not ASCII")
    return found


def _subject(field: Field | None) -> str:
    if field is None:
        return ""
    try:
        subject = exactly_decoded(field.value.strip().decode()).replace("\t", " ")
    except UnicodeDecodeError:
        raise DoesNotFit("Subject is neither ASCII nor UTF-8") from None
    if not subject.isprintable():
        raise DoesNotFit("Subject holds control characters")
    return subject


def _ascii(field: Field) -> str:
    value = field.value.strip().decode("utf-8", "replace").replace("\t", " ")
    if not value.isascii() or not value.isprintable():
        raise DoesNotFit(f"the field {field.name.title()} is not printable ASCII")
    if len(field.name) + 2 + len(value) > MOST_FIELD_OCTETS:
        raise DoesNotFit(f"the field {field.name.title()} is too long for one line")
    return value
