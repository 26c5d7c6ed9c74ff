"""Reading an upstream's replies, sans I/O: bytes in, answers out, strictly (RFC 5321 §4.2).

Whatever is not a well-formed reply must never be taken for one: a "250" that is none would throw
a message away.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from relay.mail.reply import Reply

MAX_REPLY_OCTETS = 32 * 1024  # RFC 5321 §4.5.3.1.5 promises 512 a line; a long EHLO has a few thousand

# A bare LF ends a line too: some old servers send it, and there is only one way to read it.
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\r\n]*))?\r?\n")


class Answer(NamedTuple):
    """One reply as it came: its code, and its lines joined by LF, not yet decoded."""

    code: int
    text: bytes

    @property
    def is_success(self) -> bool:
        """2xx: the upstream did what was asked."""
        return self.code // 100 == 2

    def to_reply(self) -> Reply:
        """Decode it; octets that are not UTF-8 become U+FFFD."""
        return Reply.parse(self.code, self.text.decode("utf-8", "replace").split("\n"))


class ReplyReader:
    """Cuts a stream of bytes into answers, until something comes that is none: that is its `fault`.

    Nothing that follows a fault is read; what came before it still counts.
    """

    __slots__ = ("_code", "_held", "_lines", "_tail", "fault", "is_amid")

    def __init__(self) -> None:
        self.fault: str | None = None
        self.is_amid = False  # a reply has begun but not ended
        self._tail = b""  # the beginning of a line
        self._code = b""  # of a reply with more lines to come
        self._lines: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Answer]:
        """Take *data* and return the answers that are complete with it."""
        answers: list[Answer] = []
        if self.fault is not None:
            return answers
        data = self._tail + data if self._tail else data
        position = 0
        while found := _LINE.match(data, position):
            position = found.end()
            code, mark, text = found.groups(b"")
            if mark != b"-" and not self._lines:
                answers.append(Answer(int(code), text))
            elif not self._goes_on(code, text):
                return answers
            elif mark != b"-":
                answers.append(Answer(int(code), b"\n".join(self._lines)))
                self._lines, self._held = [], 0
        self._tail = data[position:]
        self.is_amid = bool(self._tail or self._lines)
        if b"\n" in self._tail or len(self._tail) > MAX_REPLY_OCTETS:
            self.fault = _shown(self._tail)
        return answers

    def _goes_on(self, code: bytes, line: bytes) -> bool:
        """Keep one line of a longer reply, if it is one."""
        if self._lines and code != self._code:
            self.fault = f"{code.decode()} within a reply that began with {self._code.decode()}"
            return False
        self._code = code
        self._lines.append(line)
        self._held += len(line) + 6
        if self._held > MAX_REPLY_OCTETS:
            self.fault = "a reply without end"
            return False
        return True


def _shown(octets: bytes) -> str:
    line = octets.split(b"\n", 1)[0][:80]
    return "".join(c if c.isprintable() else "?" for c in line.decode("utf-8", "replace")) or "an empty line"
