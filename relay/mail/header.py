"""The header section of a message: found, checked and cut, never parsed and re-serialised.

Every function works on the bytes as they will be sent, so that what policy sees is what the
upstream receives.  The line ends must already be CRLF (see `relay.mail.lines`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import NamedTuple

MAX_HEADER_OCTETS = 256 * 1024
MAX_FIELDS = 2000

# A field name is printable ASCII without colon (RFC 5322 §2.2); white space before the colon is obsolete
# syntax (§4.5) that still names the same field to every reader, so it must to us.  Five more control
# characters are refused in values: Python's and other readers take them for line ends, and what follows
# them for a field of its own.
_TEXT = rb"[^\r\n\0\x0b\x0c\x1c-\x1e]*+"
_UNENDED = re.compile(rb"([!-9;-~]++)[ \t]*+:(" + _TEXT + rb"(?>(?:\r\n[ \t]" + _TEXT + rb")*))")
_FIELD = re.compile(_UNENDED.pattern + rb"\r\n")
_SECTION = re.compile(rb"(?:%b){0,%d}" % (_FIELD.pattern, MAX_FIELDS + 1))
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class BadHeader(ValueError):
    """The header section cannot be understood in only one way; the message says where."""


class Field(NamedTuple):
    """One header field: `name` in lower case, and what follows its colon as it is, without the last CRLF."""

    name: str
    raw: bytes

    @property
    def value(self) -> bytes:
        """The value with its folds taken out (RFC 5322 §2.2.3)."""
        return _FOLD.sub(b"", self.raw) if b"\r\n" in self.raw else self.raw

    @property
    def text(self) -> str:
        """The value as text: UTF-8 (RFC 6532), each byte that is not as U+FFFD."""
        return self.value.strip().decode("utf-8", "replace")


class Header(NamedTuple):
    """All fields in their order and by name; at `end` the section is over and the empty line begins."""

    fields: tuple[Field, ...]
    by_name: Mapping[str, list[Field]]
    end: int

    def all(self, name: str) -> list[Field]:
        """Every field called *name* (lower case)."""
        return self.by_name.get(name, [])

    def first(self, name: str) -> Field | None:
        """The topmost field called *name* (lower case), if any."""
        found = self.by_name.get(name)
        return found[0] if found else None


def scan(content: bytes) -> Header:
    """Find the fields at the head of *content*.

    Raises BadHeader for a header that two readers could take for different ones: a line without
    colon, a first line that is a continuation, characters that some take for the end of a line, a
    NUL, an mbox "From " line; and for one beyond MAX_HEADER_OCTETS or MAX_FIELDS, because a limit
    must never mean that we stop looking.
    """
    # The section is checked as a whole first: each field then begins where the one before it ends.
    section = _SECTION.match(content, 0, MAX_HEADER_OCTETS)
    end = section.end() if section else 0
    fields: list[Field] = []
    by_name: dict[str, list[Field]] = {}
    for written, raw in _FIELD.findall(content, 0, end):
        name = _folded(written)
        field = Field(name, raw)
        fields.append(field)
        if name in by_name:
            by_name[name].append(field)
        else:
            by_name[name] = [field]
    if len(fields) > MAX_FIELDS:
        raise BadHeader(f"the header has more than {MAX_FIELDS} fields")
    if end < len(content) and content[end : end + 2] != b"\r\n":
        raise BadHeader(_what_is_wrong(content, end, len(fields) + 1))
    return Header(tuple(fields), by_name, end)


@lru_cache(maxsize=1024)
def _folded(name: bytes) -> str:
    """The names of fields are few, and the same in all mail."""
    return name.decode("ascii").lower()


def _what_is_wrong(content: bytes, position: int, number: int) -> str:
    line_end = content.find(b"\r\n", position, MAX_HEADER_OCTETS)
    begun = _UNENDED.match(content, position, MAX_HEADER_OCTETS)
    reached = begun.end() if begun else MAX_HEADER_OCTETS if line_end < 0 else position
    if len(content) > MAX_HEADER_OCTETS and reached >= MAX_HEADER_OCTETS - len(b"\r\n"):
        return f"the header is longer than {MAX_HEADER_OCTETS} octets"
    if b"\0" in content[position:MAX_HEADER_OCTETS].split(b"\r\n\r\n", 1)[0]:
        return "the header holds a NUL octet"
    return f"header field {number} is not written as name, colon, value"


def without(content: bytes, header: Header, names: Collection[str]) -> bytes:
    """*content* less every header field whose name is among *names*; all else byte for byte."""
    if not any(name in names for name in header.by_name):
        return content
    kept = [field[0] for field in _FIELD.finditer(content, 0, header.end) if _folded(field[1]) not in names]
    return b"".join([*kept, content[header.end :]])


def with_fields(content: bytes, header: Header, fields: Mapping[str, bytes]) -> bytes:
    """*content* with *fields*, by lower-case name, each a whole field with its CRLF, or nothing.

    A field takes the place of the first of its name, and of all others of that name; one that was not
    there stands on top.  All else stays byte for byte.
    """
    written: set[str] = set()
    pieces = [new for name, new in fields.items() if name not in header.by_name]
    for found in _FIELD.finditer(content, 0, header.end):
        name = _folded(found[1])
        if name not in fields:
            pieces.append(found[0])
        elif name not in written:
            written.add(name)
            pieces.append(fields[name])
    return b"".join([*pieces, content[header.end :]])
