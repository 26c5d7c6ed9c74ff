"""Eight-bit content made seven-bit, for an upstream without 8BITMIME (RFC 6152 §3, RFC 2045 §6).

Only the bodies that need it are encoded, each in its place; every other octet stays as it was.  What is
signed is left alone: a message with a broken signature is worse than one that comes back.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from relay.mail.entity import MOST_BOUNDARY_OCTETS, SIGNATURES

_MOST_LEVELS = 50  # of parts within parts; nobody nests deeper in earnest
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?>(?:\r\n[ \t][^\r\n]*+)*))\r\n")
_TYPE = re.compile(rb"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)/([!#$%&'*+\-.^_`|~0-9A-Za-z]+)")
_BOUNDARY = re.compile(
    rb';\s*boundary\s*=\s*(?:"([^"\\]*+(?>(?:\\.[^"\\]*+)*))"|([^\s;"()<>@,\\/\[\]?=]+))', re.IGNORECASE
)
_ESCAPED = re.compile(rb"\\(.)")
_PLAIN_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})
_OF_MIME = frozenset({b"content-type", b"content-transfer-encoding"})
_Kind = tuple[bytes, bytes]
_TEXT: _Kind = (b"text", b"plain")  # what does not say is that (RFC 2045 §5.2) …
_MESSAGE: _Kind = (b"message", b"rfc822")  # … or this, in a digest (RFC 2046 §5.1.5)
_LINE_OF_BASE64 = 57  # octets that make 76 characters (RFC 2045 §6.8)


class CannotDowngrade(ValueError):
    """The message cannot be made seven-bit without changing what it says or breaking what vouches for it."""


def to_seven_bit(content: bytes) -> bytes:
    """Return *content*, its line ends CRLF, with every 8-bit body in quoted-printable or base64.

    Raises CannotDowngrade if the header is 8-bit, if the message is signed, or if its parts cannot
    be told apart with certainty.
    """
    if content.isascii():
        return content
    root = _Entity.read(content)
    if not SIGNATURES.isdisjoint(root.fields):
        raise CannotDowngrade("a signature covers the body")
    return _seven_bit(root, is_root=True, level=0)


@dataclass(frozen=True, slots=True)
class _Entity:
    """One MIME entity (RFC 2045 §2.4): its header with the last CRLF, its fields, and what follows.

    `gap` is the empty line between the two; there is none where there is no body.  `untyped` is what it
    is if it does not say.
    """

    header: bytes
    fields: dict[bytes, bytes]
    gap: bytes
    body: bytes
    untyped: _Kind = _TEXT

    @classmethod
    def read(cls, octets: bytes, untyped: _Kind = _TEXT) -> _Entity:
        """Take *octets* apart.  Raises CannotDowngrade if the header is not ASCII, or none."""
        fields: dict[bytes, bytes] = {}
        end = 0
        while found := _FIELD.match(octets, end):
            name = found[1].lower()
            if name in fields and name in _OF_MIME:
                raise CannotDowngrade("a field of MIME is there twice")
            fields[name] = found[2]
            end = found.end()
        header, rest = octets[:end], octets[end:]
        if not header.isascii() or not (rest.startswith(b"\r\n") or not rest):
            raise CannotDowngrade("the header is not ASCII")
        return cls(header, fields, rest[:2], rest[2:], untyped)

    @property
    def kind(self) -> _Kind:
        """Type and subtype in lower case."""
        if b"content-type" not in self.fields:
            return self.untyped
        found = _TYPE.match(self.fields[b"content-type"])
        if found is None:
            raise CannotDowngrade("the Content-Type cannot be understood")
        return found[1].lower(), found[2].lower()

    @property
    def encoding(self) -> bytes:
        """The Content-Transfer-Encoding in lower case."""
        return self.fields.get(b"content-transfer-encoding", b"").strip().lower()

    def encoded_as(self, encoding: bytes, body: bytes, *, more: bytes = b"") -> bytes:
        """The entity with another body, and an encoding that says how to read it."""
        header = b"".join(
            found[0]
            for found in _FIELD.finditer(self.header)
            if found[1].lower() != b"content-transfer-encoding"
        )
        return b"".join(
            [header, more, b"Content-Transfer-Encoding: ", encoding, b"\r\n", self.gap or b"\r\n", body]
        )


def _seven_bit(entity: _Entity, *, is_root: bool, level: int) -> bytes:
    if entity.encoding not in _PLAIN_ENCODINGS:
        raise CannotDowngrade("there is 8-bit content where the encoding allows none")
    if level > _MOST_LEVELS:
        raise CannotDowngrade("its parts are nested too deeply")
    main, sub = entity.kind
    if main == b"multipart":
        if sub in {b"signed", b"encrypted"}:
            raise CannotDowngrade("a signature covers the body")
        return _with_body(entity, _parts_as_seven_bit(entity, level))
    if main == b"message":
        if sub != b"rfc822":
            raise CannotDowngrade("a part of its kind cannot be encoded")
        inner = _Entity.read(entity.body)
        if not SIGNATURES.isdisjoint(inner.fields):
            raise CannotDowngrade("a signature covers the body of a message within it")
        return _with_body(entity, _seven_bit(inner, is_root=True, level=level + 1))
    return _leaf(entity, is_text=main == b"text", is_root=is_root)


def _with_body(entity: _Entity, body: bytes) -> bytes:
    """A composite entity is 7bit when all within it is; it has no other encoding (RFC 2045 §6.4)."""
    if entity.encoding in {b"", b"7bit"}:
        return entity.header + entity.gap + body
    return entity.encoded_as(b"7bit", body)


def _parts_as_seven_bit(entity: _Entity, level: int) -> bytes:
    """Each part for itself; the delimiters, and what stands before and after, as they are."""
    found = _BOUNDARY.search(entity.fields[b"content-type"].replace(b"\r\n", b""))
    boundary = (_ESCAPED.sub(rb"\1", found[1]) if found[1] is not None else found[2]) if found else b""
    if not 0 < len(boundary) <= MOST_BOUNDARY_OCTETS:
        raise CannotDowngrade("its parts have no boundary, or too long a one")
    # The CRLF before a delimiter belongs to it (RFC 2046 §5.1.1).
    delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    untyped = _MESSAGE if entity.kind[1] == b"digest" else _TEXT
    pieces: list[bytes] = []
    position, is_part = 0, False
    for mark in delimiter.finditer(entity.body):
        between = entity.body[position : mark.start()]
        pieces += [_part(between, untyped, level) if is_part else _no_part(between), mark[0]]
        position, is_part = mark.end(), mark[1] is None
        if not is_part:
            break
    if is_part or not pieces:
        raise CannotDowngrade("its parts do not end")
    return b"".join([*pieces, _no_part(entity.body[position:])])


def _part(octets: bytes, untyped: _Kind, level: int) -> bytes:
    if octets.isascii():
        return octets
    return _seven_bit(_Entity.read(octets, untyped), is_root=False, level=level + 1)


def _no_part(octets: bytes) -> bytes:
    if octets.isascii():
        return octets
    raise CannotDowngrade("there is 8-bit content outside of its parts")


def _leaf(entity: _Entity, *, is_text: bool, is_root: bool) -> bytes:
    more = b""
    if is_root and b"mime-version" not in entity.fields:
        more += b"MIME-Version: 1.0\r\n"
    if is_root and b"content-type" not in entity.fields:
        more += b"Content-Type: text/plain; charset=unknown-8bit\r\n"  # RFC 1428 §3
    if is_text and _is_mostly_ascii(entity.body):
        return entity.encoded_as(b"quoted-printable", quoted_printable(entity.body), more=more)
    return entity.encoded_as(b"base64", base64_lines(entity.body), more=more)


def _is_mostly_ascii(body: bytes) -> bool:
    """Whether quoted-printable is the shorter of the two, and can be read as it is."""
    return 6 * len(body.translate(None, _ASCII)) <= len(body)


_ASCII = bytes(range(128))


def quoted_printable(body: bytes) -> bytes:
    """Encode text with CRLF line ends (RFC 2045 §6.7)."""
    # The library takes the kind of line end from the first that it meets.
    return binascii.b2a_qp(b"\r\n" + body, istext=True)[2:]


def base64_lines(body: bytes) -> bytes:
    """Encode anything, in lines of 76 characters (RFC 2045 §6.8)."""
    lines = (body[start : start + _LINE_OF_BASE64] for start in range(0, len(body), _LINE_OF_BASE64))
    return b"".join(binascii.b2a_base64(line, newline=False) + b"\r\n" for line in lines)
