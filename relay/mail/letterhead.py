"""What an operator has said above and below the text of each letter, put there rightly.

The text that people read gets it, plain and HTML alike, each in its own charset and its own transfer
encoding; attachments, and every octet outside of what is inserted, stay as they are.  What is signed or
encrypted (S/MIME, PGP in either form, DKIM) is left alone: a broken signature is worse than a missing line.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from relay.mail.downgrade import base64_lines, quoted_printable
from relay.mail.encoded import NO_CHARSETS
from relay.mail.entity import (
    ARMOUR,
    MOST_LEVELS,
    SEALED,
    SIGNATURES,
    BadEntity,
    Entity,
    Splice,
    read,
    spliced,
)

MOST_OCTETS = 16 * 1024  # of one text
MOST_LINE_OCTETS = 900  # well within the 998 of RFC 5322 §2.1.1, whatever the charset adds
_ASCII = bytes(range(32, 127))
_NO_LETTERS = frozenset({b"report", b"digest", b"form-data", b"byteranges"})
_STATEFUL = ("iso2022", "hz", "utf_7")


def _loose(word: bytes) -> bytes:
    """*word* as it may be broken by the soft line breaks of quoted-printable."""
    return rb"(?:=\r\n)?".join(re.escape(word[at : at + 1]) for at in range(len(word)))


_BODY_BEGINS = re.compile(_loose(b"<body") + rb"(?=[\s>=])", re.IGNORECASE)
_MOST_OF_TAG = 4096  # octets to the end of a tag
_BODY_ENDS = (re.compile(_loose(b"</body"), re.IGNORECASE), re.compile(_loose(b"</html"), re.IGNORECASE))


class LeftAlone(ValueError):
    """The message gets no text; the reason is a clause: "it is signed"."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What stands above and below a letter; where there is no HTML of it, the plain text is made into it."""

    header: str = ""
    footer: str = ""
    header_html: str = ""
    footer_html: str = ""

    def __bool__(self) -> bool:
        return bool(self.header or self.footer or self.header_html or self.footer_html)

    def around(self, inner: Texts) -> Texts:
        """Both, these on the outside."""
        if not inner or not self:
            return self or inner
        return Texts(
            header=_joined(self.header, inner.header),
            footer=_joined(inner.footer, self.footer),
            header_html=_joined(self.html_above, inner.html_above),
            footer_html=_joined(inner.html_below, self.html_below),
        )

    @property
    def html_above(self) -> str:
        """What stands above HTML."""
        return self.header_html or _as_html(self.header)

    @property
    def html_below(self) -> str:
        """What stands below HTML."""
        return self.footer_html or _as_html(self.footer)


class _Addition(NamedTuple):
    """What one text gets, in octets of its charset: above, and below, lines ended with CRLF."""

    above: bytes
    below: bytes

    @property
    def is_ascii(self) -> bool:
        return self.above.isascii() and self.below.isascii()


def with_texts(content: bytes, texts: Texts) -> bytes:
    """Return *content*, its line ends CRLF, with *texts* in every form of its text.

    Raises LeftAlone where that cannot be done rightly; then nothing of it is.
    """
    try:
        root = read(content)
        if not SIGNATURES.isdisjoint(root.fields):
            raise LeftAlone("a DKIM signature covers it")
        found = list(_letters(root, 0))
        if not found:
            raise LeftAlone("it has no text")
        splices = [splice for letter in found for splice in _Letter(letter, letter is root, texts).splices()]
    except BadEntity as fault:
        raise LeftAlone(str(fault)) from None
    return spliced(content, splices)


def _letters(entity: Entity, level: int) -> Iterator[Entity]:
    """The forms of the text that is read first: one, or the alternatives of it."""
    main, sub = entity.kind
    if level > MOST_LEVELS:
        raise BadEntity("its parts are nested too deeply")
    if (main, sub) in SEALED:
        raise LeftAlone("it is signed or encrypted")
    if main == b"text" and sub in {b"plain", b"html"}:
        if not entity.value(b"content-disposition").strip().lower().startswith(b"attachment"):
            yield entity
    elif main == b"multipart" and sub not in _NO_LETTERS:
        for part in entity.parts():
            found = list(_letters(part, level + 1))
            yield from found
            if sub != b"alternative" and (found or sub == b"related"):
                return  # what follows belongs to it, or is attached


class _Letter:
    """One text on its way to have more around it."""

    def __init__(self, entity: Entity, is_root: bool, texts: Texts) -> None:  # noqa: FBT001
        if b"content-md5" in entity.fields:
            raise LeftAlone("a checksum covers it")
        self.entity = entity
        self.is_root = is_root
        self.is_html = entity.kind[1] == b"html"
        self.encoding = entity.encoding
        self.decoded = entity.decoded
        if ARMOUR.search(self.decoded):
            raise LeftAlone("it holds PGP armour")
        self.charset = entity.parameter(b"charset")
        self.codec = _codec(self.charset.value if self.charset else b"us-ascii")
        if self.codec == "ascii" and not self.decoded.isascii() and _is_utf8(self.decoded):
            self.codec = "utf-8"  # as most readers take it
        self.texts = texts

    def splices(self) -> list[Splice]:
        """What to change in the message for this text."""
        try:
            found = self._inserted(self._addition(self.codec), self.decoded)
        except UnicodeEncodeError:
            found = self._as_utf8()
        has_field = any(splice.new.startswith(b"Content-") for splice in found)
        if has_field and self.is_root and b"mime-version" not in self.entity.fields:
            at = self.entity.header_end
            found.insert(0, Splice(at, at, b"MIME-Version: 1.0\r\n"))
        return found

    def _as_utf8(self) -> list[Splice]:
        """The same with all of it in UTF-8, because its own charset has not all letters of the texts."""
        try:
            transcoded = self.decoded.decode(self.codec).encode()
        except UnicodeDecodeError:
            raise LeftAlone("it is not in the charset that it says") from None
        is_same = transcoded == self.decoded
        return [self._relabelled(), *self._inserted(self._addition("utf-8"), transcoded, is_same=is_same)]

    # What is added -------------------------------------------------------------------------------

    def _addition(self, codec: str) -> _Addition:
        """The texts as octets.  Raises UnicodeEncodeError if *codec* has not all of their letters."""
        if self.is_html:
            above, below = self.texts.html_above, self.texts.html_below
            return _Addition(*(_in_html(_lines(text), codec) for text in (above, below)))
        above, below = self.texts.header, self.texts.footer
        if (flow := self.entity.parameter(b"format")) and flow.value.lower() == b"flowed":
            above, below = _fixed(above), _fixed(below)
        return _Addition(*(_exactly(_lines(text), codec) for text in (above, below)))

    # Where, and in which encoding ----------------------------------------------------------------

    def _inserted(self, addition: _Addition, decoded: bytes, *, is_same: bool = True) -> list[Splice]:
        """The insertions; the whole body anew only where they cannot go into it as it is encoded."""
        entity, raw = self.entity, self.entity.octets
        if self.encoding == b"base64":
            if b"\r\n" not in decoded and b"\n" in decoded:
                addition = _Addition(*(text.replace(b"\r\n", b"\n") for text in addition))
            whole = self._around(decoded, addition)
            return [*self._begun(), Splice(entity.body, entity.end, base64_lines(whole))]
        if self.encoding == b"quoted-printable":
            if not is_same:
                whole = quoted_printable(self._around(decoded, addition))
                return [*self._begun(), Splice(entity.body, entity.end, whole)]
            encoded = _Addition(*(quoted_printable(text) for text in addition))
            return [*self._begun(), *self._places(raw, encoded, is_quoted=True)]
        needs_eight_bit = not addition.is_ascii and self.encoding in {b"", b"7bit"} and decoded.isascii()
        if needs_eight_bit:
            whole = quoted_printable(self._around(decoded, addition))
            return [
                self._encoded_as(b"quoted-printable"), *self._begun(), Splice(entity.body, entity.end, whole)
            ]  # fmt: skip
        if not is_same:
            return [*self._begun(), Splice(entity.body, entity.end, self._around(decoded, addition))]
        return [*self._begun(), *self._places(raw, addition, is_quoted=False)]

    def _around(self, text: bytes, addition: _Addition) -> bytes:
        """The whole of it, as one piece."""
        base = self.entity.body
        moved = [
            Splice(s.start - base, s.end - base, s.new) for s in self._places(text, addition, is_quoted=False)
        ]
        return spliced(text, moved)

    def _places(self, text: bytes, addition: _Addition, *, is_quoted: bool) -> Iterator[Splice]:
        """The two insertions into *text*, which stands at the entity's body."""
        base = self.entity.body
        above_at, below_at = _body_of_html(text) if self.is_html else (0, len(text))
        line_end = b"\n" if b"\r\n" not in text and b"\n" in text else b"\r\n"
        if addition.above:
            if self.is_html:
                lead = _line_begun(text, above_at, line_end, is_quoted=is_quoted)
                yield Splice(base + above_at, base + above_at, lead + addition.above)
            else:
                yield Splice(base, base, addition.above + line_end)
        if not addition.below:
            return
        if self.is_html and below_at < len(text):
            lead = _line_begun(text, below_at, line_end, is_quoted=is_quoted)
            yield Splice(base + below_at, base + below_at, lead + addition.below)
            return
        lead = _line_ended(text, line_end, is_quoted=is_quoted) + (b"" if self.is_html else line_end)
        ended = self.is_root or text.endswith(line_end)
        yield Splice(
            base + len(text),
            base + len(text),
            lead + (addition.below if ended else addition.below[: -len(line_end)]),
        )

    # What the header says of it ------------------------------------------------------------------

    def _begun(self) -> list[Splice]:
        """The empty line that a body needs, if there was none."""
        at = self.entity.header_end
        return [Splice(at, at, b"\r\n")] if self.entity.body == at else []

    def _relabelled(self) -> Splice:
        entity = self.entity
        if self.charset is not None:
            return Splice(self.charset.start, self.charset.end, b"utf-8")
        if b"content-type" in entity.fields:
            return Splice(entity.type_end, entity.type_end, b"; charset=utf-8")
        return self._field(b"Content-Type: text/plain; charset=utf-8\r\n")

    def _encoded_as(self, encoding: bytes) -> Splice:
        if b"content-transfer-encoding" in self.entity.fields:
            return Splice(*self.entity.fields[b"content-transfer-encoding"], b" " + encoding)
        return self._field(b"Content-Transfer-Encoding: " + encoding + b"\r\n")

    def _field(self, field: bytes) -> Splice:
        return Splice(self.entity.header_end, self.entity.header_end, field)


# --- octets ----------------------------------------------------------------------------------------


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _codec(charset: bytes) -> str:
    """The codec of a charset of which ASCII is a part.  Raises LeftAlone for any other."""
    try:
        name = codecs.lookup(charset.decode("ascii").strip()).name.replace("-", "_")
        if (
            name not in NO_CHARSETS
            and not name.startswith(_STATEFUL)
            and _ASCII.decode(name) == _ASCII.decode("ascii")
        ):
            return name
    except (LookupError, UnicodeError, ValueError):
        pass
    raise LeftAlone("its charset is not known, or too unlike ASCII")


def _body_of_html(text: bytes) -> tuple[int, int]:
    """Where what is seen begins and ends."""
    begins = _BODY_BEGINS.search(text)
    above = text.find(b">", begins.end(), begins.end() + _MOST_OF_TAG) + 1 if begins else 0  # 0: no end
    for closing in _BODY_ENDS:
        ends = [found.start() for found in closing.finditer(text, above)]
        if ends:
            return above, ends[-1]
    return above, len(text)


def _line_begun(text: bytes, at: int, line_end: bytes, *, is_quoted: bool) -> bytes:
    """What must stand before an insertion at *at*, so that it begins a line."""
    if at == 0 or text.endswith(line_end, 0, at):
        return b""
    return b"=\r\n" if is_quoted else line_end


def _line_ended(text: bytes, line_end: bytes, *, is_quoted: bool) -> bytes:
    """What must follow *text*, so that its last line is ended."""
    if is_quoted and text.endswith(b"="):
        return b"\r\n\r\n"  # a soft break that nothing followed
    if is_quoted and text.endswith(b"=\r\n"):
        return b"\r\n"
    return b"" if not text or text.endswith(line_end) else line_end


def _lines(text: str) -> str:
    """*text* with every line ended by CRLF; nothing for nothing."""
    return "".join(f"{line}\r\n" for line in text.splitlines())


def _exactly(text: str, codec: str) -> bytes:
    """*text* in its charset; UnicodeEncodeError also where it would come back as another (¥ in Shift JIS)."""
    octets = text.encode(codec)
    if octets.decode(codec) != text:
        raise UnicodeEncodeError(codec, text, 0, len(text), "it would be read as another text")
    return octets


def _in_html(text: str, codec: str) -> bytes:
    """The same for HTML, which has a way to write what the charset lacks."""
    try:
        return _exactly(text, codec)
    except UnicodeEncodeError:
        return text.encode("ascii", "xmlcharrefreplace")


def _fixed(text: str) -> str:
    """*text* as lines that flow together with no other (RFC 3676 §4)."""
    return "\n".join(_stuffed(line) for line in text.splitlines())


def _stuffed(line: str) -> str:
    bare = line if line == "-- " else line.rstrip(" ")
    return f" {bare}" if bare.startswith((" ", ">", "From ")) else bare


def _as_html(text: str) -> str:
    if not text:
        return ""
    return "<div>" + "<br>\n".join(html.escape(line) for line in text.splitlines()) + "</div>"


def _joined(*texts: str) -> str:
    return "\n\n".join(text.rstrip("\n") for text in texts if text)


def fit_texts(texts: Sequence[str]) -> bool:
    """Whether each can stand in any letter: no longer than MOST_OCTETS, its lines than MOST_LINE_OCTETS."""
    return all(
        len(text.encode()) <= MOST_OCTETS
        and all(len(line.encode()) <= MOST_LINE_OCTETS for line in text.splitlines())
        and not any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text)
        for text in texts
    )
