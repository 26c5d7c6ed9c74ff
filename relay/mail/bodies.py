"""What people read of a message, and the files with it, where the message is built as plainly as most are.

That is: text, HTML or both as alternatives; pictures that the HTML shows (related); files behind all
that (mixed).  What is built otherwise has no place in two texts and a list of files, and is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from relay.mail.encoded import exactly_decoded, in_charset
from relay.mail.entity import ARMOUR, SEALED, BadEntity, Entity
from relay.mail.parametrised import Parametrised, read_parametrised

# Of a part: known here, or of no meaning to anybody but the program that wrote it.
_FIELDS_OF_PARTS = frozenset({
    b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id",
    b"content-description", b"mime-version", b"x-attachment-id",
})  # fmt: skip
_OF_TEXT = frozenset({"charset", "format", "delsp", "reply-type"})
_OF_FILES = frozenset({"charset", "name"})
# What a file once was on its author's disk is not what it is (RFC 2183 §2.4 to §2.7).
_OF_DISPOSITION = frozenset({"filename", "size", "creation-date", "modification-date", "read-date"})
_CHARSETS_OF_FILES = frozenset({"us-ascii", "ascii", "utf-8"})
_ID = re.compile(r"\s*<([^<>\s]+)>\s*")
# A soft line break, or a line that was stuffed so as not to be taken for a quote (RFC 3676 §4).
_FLOWS = re.compile(r"(?<!^--) \r?$|^ ", re.MULTILINE)


class DoesNotFit(ValueError):
    """The message holds something that has no place; the reason is a clause: "it is signed"."""


@dataclass(frozen=True, slots=True)
class File:
    """A file with a message; by `content_id` the HTML shows it, "" where it does not."""

    name: str
    kind: str
    octets: bytes = field(repr=False)
    content_id: str = ""


@dataclass(slots=True)
class Bodies:
    """The texts of a message, None where there is none of the kind, and its files in their order."""

    text: str | None = None
    html: str | None = None
    files: list[File] = field(default_factory=list)


def bodies_of(root: Entity) -> Bodies:
    """Take the body of a message apart.  Raises DoesNotFit, BadEntity, BadField or BadCharset."""
    found = Bodies()
    if _kind_of(root) == "multipart/mixed":
        first, *others = _parts_of(root)
        _read_body(first, found)
        for other in others:
            found.files.append(_file(other, found.html, is_related=False))
    else:
        _read_body(root, found)
    if not (found.text or found.html or "").strip():
        raise DoesNotFit("it has no text")
    return found


def _read_body(entity: Entity, found: Bodies) -> None:
    """Read the text, in one form or in both, and the pictures that belong to it."""
    kind = _kind_of(entity)
    if kind == "multipart/alternative":
        forms = _parts_of(entity)
        if [_is_html(form) for form in forms] not in ([False], [True], [False, True]):
            raise DoesNotFit("its alternatives are others than one text and one HTML")
        for form in forms:
            _read_body(form, found)
    elif kind == "multipart/related":
        if entity.parameter(b"start") is not None:
            raise DoesNotFit("what its pictures belong to is named, and not the first part")
        first, *others = _parts_of(entity)
        _read_body(first, found)
        for other in others:
            found.files.append(_file(other, found.html, is_related=True))
    elif kind in {"text/plain", "text/html"}:
        _read_text(entity, found)
    else:
        raise DoesNotFit(f"{kind} stands where its text should be")


def _is_html(form: Entity) -> bool:
    return _kind_of(form) in {"text/html", "multipart/related"}


def _read_text(entity: Entity, found: Bodies) -> None:
    said = _parametrised(entity, b"content-type", "text/plain")
    _heed_parameters(said, _OF_TEXT)
    disposition = _parametrised(entity, b"content-disposition", "inline")
    if disposition.value != "inline" or "filename" in disposition.parameters:
        raise DoesNotFit("a file stands where its text should be")
    octets = entity.decoded
    if ARMOUR.search(octets):
        raise DoesNotFit("it is signed or encrypted")
    text = in_charset(octets, said.parameters.get("charset", "us-ascii"))
    if (found.html if said.value == "text/html" else found.text) is not None:
        raise DoesNotFit("it has more than one text")
    if said.value == "text/html":
        found.html = text
        return
    if said.parameters.get("format", "fixed").lower() != "fixed" and _FLOWS.search(text):
        raise DoesNotFit("its text has lines that flow together (format=flowed)")
    found.text = text


def _file(entity: Entity, html: str | None, *, is_related: bool) -> File:
    kind = _kind_of(entity)
    main = kind.partition("/")[0]
    said = _parametrised(entity, b"content-type", "text/plain")
    disposition = _parametrised(entity, b"content-disposition", "")
    _heed_parameters(disposition, _OF_DISPOSITION)
    if main in {"multipart", "message"}:
        raise DoesNotFit(f"{kind} is among its files")
    if main == "text" and disposition.value != "attachment":
        raise DoesNotFit("it has more than one text")
    _heed_parameters(said, _OF_FILES)
    if said.parameters.get("charset", "us-ascii").lower() not in _CHARSETS_OF_FILES:
        raise DoesNotFit("one of its files is a text in a charset of its own")
    content_id = _content_id(entity)
    is_shown = bool(content_id) and (is_related or _is_named_in(html or "", content_id))
    if not is_shown and (is_related or disposition.value not in {"", "attachment"}):
        raise DoesNotFit("a picture is to be shown that its HTML does not name")
    name = disposition.parameters.get("filename") or said.parameters.get("name") or ""
    if not name and is_shown:
        name = content_id
    if not name or not name.isprintable():
        raise DoesNotFit("one of its files has no name")
    described = exactly_decoded(entity.value(b"content-description").decode("utf-8", "replace").strip())
    if described.strip('"') not in {"", name}:
        raise DoesNotFit("one of its files has a description beside its name")
    return File(name, kind, entity.decoded, content_id if is_shown else "")


def _content_id(entity: Entity) -> str:
    raw = entity.value(b"content-id")
    found = _ID.fullmatch(raw.decode("utf-8", "replace"))
    if found is None and raw.strip():
        raise DoesNotFit("a Content-ID cannot be understood")
    return found[1] if found else ""


def _is_named_in(html: str, content_id: str) -> bool:
    """Whether *html* shows it, as it is or in the way of URLs (RFC 2392)."""
    return f"cid:{content_id}" in html or f"cid:{quote(content_id, safe='@')}" in html


# What the parts say of themselves ------------------------------------------------------------------


def _kind_of(entity: Entity) -> str:
    main, sub = entity.kind
    if (main, sub) in SEALED:
        raise DoesNotFit("it is signed or encrypted")
    return f"{main.decode()}/{sub.decode()}"


def _parts_of(entity: Entity) -> list[Entity]:
    found = list(entity.parts())
    if not found:
        raise BadEntity("it has no parts")
    for part in found:
        if unknown := part.fields.keys() - _FIELDS_OF_PARTS:
            raise DoesNotFit(f"a part has the field {min(unknown).decode().title()}")
    return found


def _parametrised(entity: Entity, name: bytes, default: str) -> Parametrised:
    raw = entity.value(name)
    return read_parametrised(raw) if raw.strip() else Parametrised(default, {})


def _heed_parameters(said: Parametrised, known: frozenset[str]) -> None:
    for name in said.parameters:
        if name not in known and not name.startswith("x-"):
            raise DoesNotFit(f"a part of it has the parameter {name}")
