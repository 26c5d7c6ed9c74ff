"""Encoded words: text beyond ASCII as it stands in header fields (RFC 2047)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

# More lenient than the grammar, as readers are: white space and specials inside are let through.
_ENCODED_WORD = re.compile(r"=\?([^?]*+)\?([bBqQ])\?([^?]*+)\?=")
_BEGUN = re.compile(r"=\?[^?]*+\?")
_BETWEEN_TWO = re.compile(r"(\?=)[ \t]++(?==\?[^?]*+\?[bBqQ]\?)")
# Codecs that Python alone calls charsets; no reader of mail would take them for one.
NO_CHARSETS = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})


_WORD_OCTETS = 42  # of UTF-8: 56 characters of base64, an encoded word of 68 (RFC 2047 §2: at most 75)


class BadEncodedWord(ValueError):
    """What begins like an encoded word is none; the message says why."""


class BadCharset(ValueError):
    """Octets cannot be read in the charset that is named for them; the message says why."""


def decoded(text: str) -> str:
    """*text* with its encoded words read, the white space between two of them taken out (§6.2).

    An unknown charset is read as Latin-1, so that what is ASCII in it shows.  Raises BadEncodedWord
    where something begins like an encoded word and does not go on like one.
    """
    return _with_words_read(text, _read)


def exactly_decoded(text: str) -> str:
    """The same for whoever must not guess: BadCharset where a charset is unknown, or does not fit."""
    return _with_words_read(text, _exactly_read)


def readable(text: str) -> str:
    """The same for somebody who looks on, in one line; what is not written rightly, or cut off, stays."""
    read = _ENCODED_WORD.sub(_read_if_possible, _BETWEEN_TWO.sub(r"\1", text))
    return "".join(letter if letter.isprintable() else "?" for letter in read)


def in_charset(octets: bytes, charset: str) -> str:
    """*octets* as text.  Raises BadCharset if the charset is unknown, or not that of the octets."""
    if charset.lower().replace("-", "_") in NO_CHARSETS:
        raise BadCharset(f"its charset {charset!r} is not known")
    try:
        text = octets.decode(charset)
        text.encode()  # halves of letters, as UTF-7 can say them, are no text
    except UnicodeError:
        raise BadCharset("it is not in the charset that it says") from None
    except (LookupError, ValueError):
        raise BadCharset(f"its charset {charset!r} is not known") from None
    return text


def encoded_words(text: str) -> list[str]:
    """*text* as encoded words, each of whole letters (RFC 2047 §5)."""
    pieces = [b""]
    for letter in text:
        octets = letter.encode()
        if len(pieces[-1]) + len(octets) > _WORD_OCTETS:
            pieces.append(b"")
        pieces[-1] += octets
    return [f"=?utf-8?b?{binascii.b2a_base64(piece, newline=False).decode()}?=" for piece in pieces]


def _with_words_read(text: str, read: Callable[[re.Match[str]], str]) -> str:
    if "=?" not in text:
        return text
    if _BEGUN.search(_ENCODED_WORD.sub("", text)):
        raise BadEncodedWord("an encoded word is not written rightly")
    return _ENCODED_WORD.sub(read, _BETWEEN_TWO.sub(r"\1", text))


def _read(word: re.Match[str]) -> str:
    charset, octets = _charset_and_octets(word)
    try:
        if charset.replace("-", "_") not in NO_CHARSETS:
            return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        pass
    return octets.decode("latin-1")


def _read_if_possible(word: re.Match[str]) -> str:
    try:
        return _read(word)
    except BadEncodedWord:
        return word[0]


def _exactly_read(word: re.Match[str]) -> str:
    charset, octets = _charset_and_octets(word)
    return in_charset(octets, charset)


def _charset_and_octets(word: re.Match[str]) -> tuple[str, bytes]:
    octets = _from_base64(word[3]) if word[2] in "bB" else _from_quoted(word[3])
    return word[1].partition("*")[0].lower(), octets


def _from_base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise BadEncodedWord("an encoded word is no Base64") from None


def _from_quoted(text: str) -> bytes:
    return binascii.a2b_qp(text.encode(), header=True)
