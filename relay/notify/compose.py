"""Letters that the relay writes itself: small, 7-bit wherever the addresses let them be.

Only what is generated here goes through this; nobody's message is ever taken apart and rebuilt.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from email.header import Header
from typing import NamedTuple

from relay.mail.address import Address
from relay.mail.dates import date_text

MAX_LINE_OCTETS = 998  # RFC 5322 §2.1.1, without the CRLF
_FOLD_AT = 76
_LINE_END = re.compile(r"\r\n|\r|\n")
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Entity(NamedTuple):
    """One MIME entity: its header fields, its body (RFC 2045 §2.4)."""

    head: bytes
    body: bytes

    def __bytes__(self) -> bytes:
        return self.head + b"\r\n" + self.body


def field(name: str, text: str) -> bytes:
    """Write an unstructured header field, folded, in encoded words where it is not ASCII (RFC 2047)."""
    clean = _UNFIT.sub(" ", text).strip()
    charset = "us-ascii" if clean.isascii() else "utf-8"
    value = Header(clean, charset, maxlinelen=_FOLD_AT, header_name=name).encode(linesep="\r\n")
    return f"{name}: {value}\r\n".encode("ascii")


def raw_field(name: str, value: str) -> bytes:
    """Write a structured header field as it stands: addresses, ids, dates, tokens.

    Non-ASCII comes out as UTF-8, which only a message sent with SMTPUTF8 may hold (RFC 6532).
    """
    return f"{name}: {_UNFIT.sub('', value)}\r\n".encode()


def is_seven_bit(body: bytes) -> bool:
    """Whether *body*, with CRLF line ends, can go as it is over any road (RFC 2045 §2.7)."""
    return (
        body.isascii()
        and b"\0" not in body
        and max(map(len, body.split(b"\r\n"))) <= MAX_LINE_OCTETS
        and body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r")
    )


def entity(content_type: str, body: bytes, *, description: str = "") -> Entity:
    """Wrap *body*, in quoted-printable if it cannot go as it is."""
    head = f"Content-Type: {content_type}\r\n".encode("ascii")
    if description:
        head += field("Content-Description", description)
    if is_seven_bit(body):
        return Entity(head, body)
    encoded = binascii.b2a_qp(b"\r\n" + body, istext=True)[2:]  # it learns the line end from the first
    return Entity(head + b"Content-Transfer-Encoding: quoted-printable\r\n", encoded)


def text_entity(text: str, *, description: str = "") -> Entity:
    """Wrap plain *text* as UTF-8, or as ASCII where it is."""
    body = _LINE_END.sub("\r\n", text.strip()).encode() + b"\r\n"
    charset = "us-ascii" if body.isascii() else "utf-8"
    return entity(f"text/plain; charset={charset}", body, description=description)


def multipart(content_type: str, parts: Sequence[Entity], *, boundary: str) -> Entity:
    """Join *parts* under *content_type*; *boundary* must occur in none of them (RFC 2046 §5.1)."""
    mark = f"--{boundary}".encode("ascii")
    body = b"".join([piece for part in parts for piece in (mark, b"\r\n", bytes(part), b"\r\n")])
    return Entity(
        f'Content-Type: {content_type};\r\n\tboundary="{boundary}"\r\n'.encode("ascii"),
        body + mark + b"--\r\n",
    )


def letter(
    content: Entity,
    *,
    letter_id: str,
    to: Address,
    subject: str,
    hostname: str,
    now: datetime,
    automatic: str,
) -> bytes:
    """Put a whole message together, from the postmaster; *automatic* is `auto-replied` or `auto-generated`.

    RFC 3834 §5 names the two; either keeps the receiver's own answering machine quiet.
    """
    return b"".join(
        [
            raw_field("From", f"Mail Delivery System <postmaster@{hostname}>"),
            raw_field("To", f"<{to.plainest}>"),
            field("Subject", subject),
            raw_field("Date", date_text(now)),
            raw_field("Message-ID", f"<{letter_id}@{hostname}>"),
            raw_field("Auto-Submitted", automatic),
            b"MIME-Version: 1.0\r\n",
            bytes(content),
        ]
    )
