"""What a submission server adds to a message and takes from it (RFC 6409 §8); all else stays as it is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from relay.mail.address import Address
from relay.mail.header import Field, Header, without
from relay.mail.received import date_field, message_id_field

# Bcc would tell who was to stay unknown (RFC 5322 §3.6.3); Return-Path is for the last server to
# write (RFC 5321 §4.4).
DROPPED = frozenset({"bcc", "resent-bcc", "return-path"})
OTHER_SENDERS = frozenset({"sender", "resent-from", "resent-sender"})  # beside From
OWN_PREFIX = "x-relay-"  # words to us, and to nobody behind us


def complete(
    content: bytes,
    header: Header,
    *,
    now: datetime,
    message_id: str,
    hostname: str,
    sender: Address | None = None,
    also_without: Collection[str] = (),
) -> list[bytes]:
    """Return *content* with a Date and a Message-ID if it had none, and without what must not leave.

    In pieces, to be joined with whatever comes on top of it: a large letter is then copied only once.

    With a *sender*, From becomes that address; what it was becomes Reply-To, unless there is one, and
    nobody else is named as a sender.  *also_without*: further fields to leave out, in lower case.
    """
    names = header.by_name
    added: list[bytes] = []
    dropped = {name for name in names if name in DROPPED or name.startswith(OWN_PREFIX)}
    dropped.update(also_without)
    if sender is not None:
        added.extend(_from_another(header.first("from"), sender, has_reply_to="reply-to" in names))
        dropped |= {"from", *OTHER_SENDERS}
    if "date" not in names:
        added.append(date_field(now))
    if "message-id" not in names:
        added.append(message_id_field(message_id, hostname))
    rest = without(content, header, dropped) if dropped else content
    return [*added, rest]


def _from_another(original: Field | None, sender: Address, *, has_reply_to: bool) -> list[bytes]:
    fields = [f"From: {sender.plainest}\r\n".encode()]
    if original is not None and not has_reply_to:
        fields.append(b"Reply-To:" + original.raw + b"\r\n")
    return fields
