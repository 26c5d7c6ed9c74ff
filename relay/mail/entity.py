"""The parts of a message, found where they lie and never written anew (RFC 2045, RFC 2046).

An entity is a stretch of the whole content, told by positions in it.  So whoever changes something
names the stretch and what takes its place (a Splice): every other octet stays as it is.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

MOST_LEVELS = 20  # of parts within parts: nobody nests deeper in earnest
MOST_PARTS = 500  # of one multipart
MOST_BOUNDARY_OCTETS = 255  # RFC 2046 §5.1.1 allows 70

# What vouches for the whole body: whoever changes a letter of it breaks them.
SIGNATURES = frozenset({b"dkim-signature", b"domainkey-signature", b"arc-message-signature"})
# What stands for a signature or an encryption in the body itself: S/MIME, and PGP in either form.
SEALED = frozenset({
    (b"application", b"pkcs7-mime"), (b"application", b"x-pkcs7-mime"), (b"application", b"pgp-encrypted"),
    (b"application", b"pgp-signature"), (b"application", b"pkcs7-signature"),
    (b"multipart", b"signed"), (b"multipart", b"encrypted"),
})  # fmt: skip
ARMOUR = re.compile(rb"^-----BEGIN PGP ", re.MULTILINE)

_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?>(?:\r\n[ \t][^\r\n]*+)*))\r\n")
_TYPE = re.compile(rb"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)/([!#$%&'*+\-.^_`|~0-9A-Za-z]+)")
_PARAMETER = re.compile(
    rb";\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)\s*="
    rb'\s*("[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|[^\s;"()<>@,\\/\[\]?=]++)',
    re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_OF_MIME = frozenset({b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id"})
_PLAIN_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})


class BadEntity(ValueError):
    """The parts of a message cannot be told apart in only one way; the message says why."""


class Splice(NamedTuple):
    """The octets from `start` to before `end` become `new`."""

    start: int
    end: int
    new: bytes


class Parameter(NamedTuple):
    """A parameter's value, unquoted, and where it lies as it is written."""

    value: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of *content*: its header fields, and its body from `body` to before `end`.

    `fields` says by lower-case name where a value lies; the header ends at `header_end`, and there is
    no empty line behind it where `body` is the same.
    """

    content: bytes
    fields: Mapping[bytes, tuple[int, int]]
    header_end: int
    body: int
    end: int

    @property
    def octets(self) -> bytes:
        """The body as it stands."""
        return self.content[self.body : self.end]

    @property
    def kind(self) -> tuple[bytes, bytes]:
        """Type and subtype in lower case; plain text if it does not say (RFC 2045 §5.2)."""
        if b"content-type" not in self.fields:
            return b"text", b"plain"
        found = _TYPE.match(self.content, *self.fields[b"content-type"])
        if found is None:
            raise BadEntity("a Content-Type cannot be understood")
        return found[1].lower(), found[2].lower()

    @property
    def encoding(self) -> bytes:
        """The Content-Transfer-Encoding in lower case; empty if it does not say."""
        return self.value(b"content-transfer-encoding").strip().lower()

    @property
    def decoded(self) -> bytes:
        """The body with its transfer encoding taken off.  Raises BadEntity if it has another."""
        if self.encoding in _PLAIN_ENCODINGS:
            return self.octets
        if self.encoding == b"quoted-printable":
            return binascii.a2b_qp(self.octets)
        if self.encoding == b"base64":
            try:
                return binascii.a2b_base64(b"".join(self.octets.split()), strict_mode=True)
            except binascii.Error:
                raise BadEntity("its base64 is none") from None
        raise BadEntity("its encoding is not known")

    @property
    def type_end(self) -> int:
        """Where type and subtype end in the field that says them, so that a parameter can follow."""
        found = _TYPE.match(self.content, *self.fields[b"content-type"])
        if found is None:
            raise BadEntity("a Content-Type cannot be understood")
        return found.end()

    def value(self, name: bytes) -> bytes:
        """The value of a field, as it is written; empty if it is not there."""
        start, end = self.fields.get(name, (0, 0))
        return self.content[start:end]

    def parameter(self, name: bytes) -> Parameter | None:
        """A parameter of the Content-Type.  Raises BadEntity if there are two of it, or pieces (RFC 2231)."""
        if b"content-type" not in self.fields:
            return None
        found: Parameter | None = None
        for each in _PARAMETER.finditer(self.content, *self.fields[b"content-type"]):
            called = each[1].lower()
            if called.startswith(name + b"*") or (called == name and found is not None):
                raise BadEntity("a parameter of a Content-Type cannot be understood")
            if called == name:
                bare = _ESCAPED.sub(rb"\1", each[2][1:-1]) if each[2][:1] == b'"' else each[2]
                found = Parameter(bare.replace(b"\r\n", b""), each.start(2), each.end(2))
        return found

    def parts(self) -> Iterator[Entity]:
        """The parts of a multipart, in their order (RFC 2046 §5.1).  Raises BadEntity if they do not end."""
        boundary = self.parameter(b"boundary")
        if boundary is None or not 0 < len(boundary.value) <= MOST_BOUNDARY_OCTETS:
            raise BadEntity("its parts have no boundary, or too long a one")
        # The CRLF before a delimiter belongs to it (§5.1.1).
        mark = re.compile(rb"\r\n--" + re.escape(boundary.value) + rb"(--)?[ \t]*+(?:\r\n|\Z)")
        begun: int | None = None
        # From the empty line on: the first delimiter may be the first line of the body.
        for count, found in enumerate(mark.finditer(self.content, max(self.body - 2, 0), self.end)):
            if count > MOST_PARTS:
                raise BadEntity("it has too many parts")
            if begun is not None:
                yield read(self.content, begun, max(found.start(), begun))
            if found[1] is not None:
                return
            begun = found.end()
        raise BadEntity("its parts do not end")


def read(content: bytes, start: int = 0, end: int | None = None) -> Entity:
    """Find header and body of the entity from *start* to before *end*, its line ends CRLF.

    Raises BadEntity if the header is none, or says twice what may be said once.
    """
    end = len(content) if end is None else end
    fields: dict[bytes, tuple[int, int]] = {}
    position = start
    while found := _FIELD.match(content, position, end):
        name = found[1].lower()
        if name in fields and name in _OF_MIME:
            raise BadEntity("a field of MIME is there twice")
        fields.setdefault(name, found.span(2))
        position = found.end()
    if content.startswith(b"\r\n", position, end):
        return Entity(content, fields, position, position + 2, end)
    if position != end:
        raise BadEntity("the header of a part is none")
    return Entity(content, fields, position, position, end)


def spliced(content: bytes, splices: Iterable[Splice]) -> bytes:
    """*content* with each splice in its place; they must not overlap."""
    pieces: list[bytes] = []
    position = 0
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end)):
        if splice.start < position:
            raise AssertionError("two changes want the same octets")
        pieces += [content[position : splice.start], splice.new]
        position = splice.end
    return b"".join([*pieces, content[position:]])
