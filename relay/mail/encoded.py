"""Encoded words: text beyond ASCII as it stands in header fields (RFC 2047)."""

from __future__ import annotations

import binascii
import re

# More lenient than the grammar, as readers are: white space and specials inside are let through.
_ENCODED_WORD = re.compile(r"=\?([^?]*+)\?([bBqQ])\?([^?]*+)\?=")
_BEGUN = re.compile(r"=\?[^?]*+\?")
_BETWEEN_TWO = re.compile(r"(\?=)[ \t]++(?==\?[^?]*+\?[bBqQ]\?)")
# Codecs that Python alone calls charsets; no reader of mail would take them for one.
NO_CHARSETS = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})


class BadEncodedWord(ValueError):
    """What begins like an encoded word is none; the message says why."""


def decoded(text: str) -> str:
    """*text* with its encoded words read, the white space between two of them taken out (§6.2).

    An unknown charset is read as Latin-1, so that what is ASCII in it shows.  Raises BadEncodedWord
    where something begins like an encoded word and does not go on like one.
    """
    if "=?" not in text:
        return text
    if _BEGUN.search(_ENCODED_WORD.sub("", text)):
        raise BadEncodedWord("an encoded word is not written rightly")
    return _ENCODED_WORD.sub(_read, _BETWEEN_TWO.sub(r"\1", text))


def _read(word: re.Match[str]) -> str:
    charset, encoding, text = word[1].partition("*")[0].lower(), word[2].lower(), word[3]
    octets = _from_base64(text) if encoding == "b" else _from_quoted(text)
    if charset.replace("-", "_") not in NO_CHARSETS:
        try:
            return octets.decode(charset, "replace")
        except (LookupError, ValueError):
            pass
    return octets.decode("latin-1")


def _from_base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise BadEncodedWord("an encoded word is no Base64") from None


def _from_quoted(text: str) -> bytes:
    return binascii.a2b_qp(text.encode(), header=True)
