"""SASLprep (RFC 4013): the one form of a password that client and server both work with.

SCRAM never sees the password itself, so what a keyboard makes of it must not matter.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Callable

_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_c12,  # spaces beyond ASCII
    stringprep.in_table_c21_c22,  # control characters
    stringprep.in_table_c3,  # private use
    stringprep.in_table_c4,  # no characters at all
    stringprep.in_table_c5,  # surrogates
    stringprep.in_table_c6,  # unfit for plain text
    stringprep.in_table_c7,  # unfit for canonical forms
    stringprep.in_table_c8,  # marks that change what is shown
    stringprep.in_table_c9,  # tags
)


class CannotPrepare(ValueError):
    """The text holds what SASLprep prohibits."""


def saslprep(text: str) -> str:
    """Return *text* prepared; unassigned characters are let through, as in a query.

    Raises CannotPrepare.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(is_in(c) for c in prepared for is_in in _PROHIBITED):
        raise CannotPrepare("a character that SASLprep prohibits")
    _check_directions(prepared)
    return prepared


def _check_directions(text: str) -> None:
    """Text that runs right to left does so wholly, from its first character to its last (RFC 3454 §6)."""
    if not any(stringprep.in_table_d1(c) for c in text):
        return
    if any(stringprep.in_table_d2(c) for c in text):
        raise CannotPrepare("both directions of writing")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise CannotPrepare("text that runs right to left does not begin or end so")
