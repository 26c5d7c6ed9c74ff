"""The header section of a message: found, checked and cut, never parsed and re-serialised.

Every function works on the bytes as they will be sent, so that what policy sees is what the
upstream receives.  The line ends must already be CRLF (see `relay.mail.lines`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

MAX_HEADER_OCTETS = 256 * 1024
MAX_FIELDS = 2000

# A field name is printable ASCII without colon (RFC 5322 §2.2); white space before the colon is
# obsolete syntax (§4.5) that still names the same field to every reader, so it must to us.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r\n\0]*(?:\r\n[ \t][^\r\n\0]*)*)\r\n")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class BadHeader(ValueError):
    """The header section cannot be understood in only one way; the message says where."""


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: `name` in lower case, `value` as bytes with its folds taken out."""

    name: str
    value: bytes
    start: int
    end: int

    @property
    def text(self) -> str:
        """The value as text: UTF-8 (RFC 6532), each byte that is not as U+FFFD."""
        return self.value.strip().decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Header:
    """All fields in their order; `end` is where the header section ends and the empty line begins."""

    fields: tuple[Field, ...]
    end: int

    def all(self, name: str) -> list[Field]:
        """Every field called *name* (lower case)."""
        return [f for f in self.fields if f.name == name]

    def first(self, name: str) -> Field | None:
        """The topmost field called *name* (lower case), if any."""
        return next((f for f in self.fields if f.name == name), None)


def scan(content: bytes) -> Header:
    """Find the fields at the head of *content*.

    Raises BadHeader for a header that two readers could take for different ones: a line without
    colon, a first line that is a continuation, control characters, a NUL, an mbox "From " line;
    and for one beyond MAX_HEADER_OCTETS or MAX_FIELDS, because a limit must never mean that we
    stop looking.
    """
    fields: list[Field] = []
    position = 0
    while content[position : position + 2] != b"\r\n" and position < len(content):
        found = _FIELD.match(content, position, position + MAX_HEADER_OCTETS)
        if found is None or found.end() > MAX_HEADER_OCTETS:
            raise BadHeader(_what_is_wrong(content, position, len(fields) + 1))
        value = found[2]
        if b"\r\n" in value:
            value = _FOLD.sub(b"", value)
        fields.append(Field(found[1].decode("ascii").lower(), value, position, found.end()))
        position = found.end()
        if len(fields) > MAX_FIELDS:
            raise BadHeader(f"the header has more than {MAX_FIELDS} fields")
    return Header(tuple(fields), position)


def _what_is_wrong(content: bytes, position: int, number: int) -> str:
    line = content[position : position + 1000].split(b"\r\n", 1)[0]
    if position + len(line) >= MAX_HEADER_OCTETS or len(content) - position > MAX_HEADER_OCTETS:
        return f"the header is longer than {MAX_HEADER_OCTETS} octets"
    if b"\0" in content[position : position + MAX_HEADER_OCTETS].split(b"\r\n\r\n", 1)[0]:
        return "the header holds a NUL octet"
    return f"header field {number} is not written as name, colon, value"


def without(content: bytes, header: Header, names: Collection[str]) -> bytes:
    """*content* less every header field whose name is among *names*; all else byte for byte."""
    if not any(f.name in names for f in header.fields):
        return content
    kept = b"".join(content[f.start : f.end] for f in header.fields if f.name not in names)
    return kept + content[header.end :]


def fields_named(header: Header, names: Collection[str]) -> Iterator[Field]:
    """Every field whose name is among *names*, in order."""
    return (f for f in header.fields if f.name in names)
