"""What one SMTP party tells the other: one value, in both directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_ENHANCED = re.compile(r"^[245]\.([0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|$)")
_MAX_TEXT = 2000


class Reply(NamedTuple):
    """A reply code, its enhanced status and text (RFC 5321 §4.2, RFC 3463).

    `enhanced` is subject.detail only ("7.1"): the class digit is the code's own, so that the two
    codes cannot disagree.  It is empty for replies that carry none (the greeting, EHLO, 3xx, and
    whatever an upstream sent without one).  `text` may have several lines.
    """

    code: int
    enhanced: str
    text: str

    @property
    def status(self) -> str:
        """The full enhanced status code, "5.7.1"; x.0.0 where none was given."""
        return f"{self.code // 100}.{self.enhanced or '0.0'}"

    @property
    def is_success(self) -> bool:
        """2xx: the other side did what was asked."""
        return 200 <= self.code < 300

    @property
    def is_permanent(self) -> bool:
        """5xx: trying the same again is useless (RFC 5321 §4.2.1)."""
        return 500 <= self.code < 600

    def saying(self, text: str) -> Reply:
        """The same reply in other words."""
        return Reply(self.code, self.enhanced, text)

    def __str__(self) -> str:
        lead = f"{self.code} {self.status} " if self.enhanced else f"{self.code} "
        return lead + " ".join(self.text.splitlines())

    @lru_cache(maxsize=256)  # noqa: B019  a reply is a small value, and most are said again and again
    def to_wire(self) -> bytes:
        """The reply as sent: one line a line of text, the enhanced code on each (RFC 2034 §4)."""
        mark = f"{self.status} " if self.enhanced else ""
        if "\n" not in self.text:
            return f"{self.code} {mark}{self.text}\r\n".encode()
        *first, last = self.text.split("\n")
        lines = [f"{self.code}-{mark}{line}\r\n" for line in first]
        return "".join([*lines, f"{self.code} {mark}{last}\r\n"]).encode()

    @classmethod
    def parse(cls, code: int, lines: Sequence[str]) -> Reply:
        """Read a reply that the other side sent, *lines* being what stood behind its code.

        An enhanced code is understood on each line and dropped from the text; a class digit that
        contradicts the code is not believed.
        """
        found = _ENHANCED.match(lines[0]) if lines else None
        text = "\n".join(_ENHANCED.sub("", line, count=1) for line in lines)
        return cls(code, found[1] if found else "", _printable(text)[:_MAX_TEXT])


def _printable(text: str) -> str:
    """Replace what could forge a log line or move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
