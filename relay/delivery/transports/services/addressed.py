"""Messages for services that send to whomever the header names: made to name exactly the recipients."""

from __future__ import annotations

import re

from relay.mail.envelope import Envelope
from relay.mail.header import BadHeader, Header, scan, without
from relay.mail.mailbox import BadMailbox, parse_mailbox_list
from relay.mail.reply import Reply

_NAMING = ("to", "cc")
_EMPTY_GROUP = re.compile(rb"\s*[^:;<>@,]*:\s*;\s*")  # "undisclosed-recipients:;"
_SENDS_TO_OTHERS = Reply(
    554,
    "6.3",
    "This service sends to everybody in To and Cc, and the message is not for all of them: "
    "it needs an upstream of another kind",
)


def misaddressed(envelope: Envelope, content: bytes) -> Reply | None:
    """Say why the service would send the message to somebody else than to its recipients."""
    try:
        named = _named(scan(content))
    except (BadHeader, BadMailbox):
        return _SENDS_TO_OTHERS.saying("It cannot be told for certain whom To and Cc of the message name")
    return None if named <= {r.address.key for r in envelope.recipients} else _SENDS_TO_OTHERS


def fully_addressed(envelope: Envelope, content: bytes) -> bytes:
    """*content* with those who are named nowhere in a Bcc, which the service takes out again."""
    named = _named(scan(content))
    unnamed = [str(r.address) for r in envelope.recipients if r.address.key not in named]
    content = without(content, scan(content), {"bcc"})
    listed = ",\r\n ".join(unnamed)
    return f"Bcc: {listed}\r\n".encode() + content if unnamed else content


def _named(header: Header) -> set[str]:
    found: set[str] = set()
    for name in _NAMING:
        for field in header.all(name):
            if field.value.strip() and not _EMPTY_GROUP.fullmatch(field.value):
                found |= {mailbox.address.key for mailbox in parse_mailbox_list(field.value)}
    return found
