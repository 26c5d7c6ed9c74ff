"""Bytes in, lines and message contents out: no sockets, no waiting, testable one byte at a time.

Everything that depends on where one packet ends and the next begins lives in this file.  The
framer is in one of three modes, and only its owner moves it:

    LINES ── expect_content() ──► CONTENT ── the end of data was found ──► LINES
    LINES ── expect_chunk() ────► CHUNK ──── all its octets came ────────► LINES

In LINES, a line ends with LF; the CR before it is dropped (RFC 5321 §2.3.8 wants CRLF; a client
that sends commands with a bare LF does no harm).  A bare CR stays in the line, and is refused as
any other control character.  In CONTENT, only CRLF . CRLF ends the data, at whatever place the
packets are split (RFC 5321 §4.1.1.4); a bare CR or LF never does.  A CHUNK is as long as BDAT said
(RFC 3030 §2), whatever is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from relay.mail.lines import dot_unstuffed

# RFC 5321 §4.5.3.1.4 asks for 512 octets, RFC 4954 §4 for 12,288 in AUTH; one limit serves both.
MAX_LINE_OCTETS = 12_288 + 512

_END = b"\r\n.\r\n"
LITTLE = 1024  # octets: what a list of less costs beside them would be more than the budget knows of
_MISTAKEN = 2  # octets of an end mark cut in two that are at first taken for text: its dot and CR


Line = bytes  # a command or an AUTH response, without its line end


@dataclass(frozen=True, slots=True)
class LineTooLong:
    """A line beyond MAX_LINE_OCTETS came to its end; nothing of it was kept."""


@dataclass(frozen=True, slots=True)
class Content:
    """What DATA brought, still dot-stuffed, its last CRLF included; None if it went beyond the limit.

    `size` is what came, with the dots that were added to it.
    """

    octets: bytes | None
    size: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one BDAT brought; None if there was no room to keep it."""

    octets: bytes | None


Frame = Line | LineTooLong | Content | Chunk


class Mode(Enum):
    """What the next octets are."""

    LINES = auto()
    CONTENT = auto()
    CHUNK = auto()


class Framer:
    """Cuts one connection's bytes into frames, each handed out only when it is asked for."""

    __slots__ = (
        "_allowed",
        "_buffer",
        "_chunks",
        "_limit",
        "_overlong",
        "_position",
        "_remaining",
        "_tail",
        "mode",
        "size",
    )

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self.mode = Mode.LINES
        self._overlong = False
        self._chunks: list[bytes] = []
        self.size = 0  # octets of the content that is arriving, so far
        self._tail = b""
        self._limit = 0  # what is kept at most
        self._allowed = 0  # what a message may have, without the dots that were added to it
        self._remaining = 0

    @property
    def buffered(self) -> int:
        """Octets received and not yet handed out."""
        return len(self._buffer) - self._position

    @property
    def held(self) -> int:
        """Octets of the content that is arriving which are kept: none any more, once it is too large."""
        return self.size if self._chunks else 0

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self._position < len(self._buffer):
            data = self._buffer[self._position :] + data
        self._buffer, self._position = data, 0

    def discard(self) -> None:
        """Forget everything received: what came before TLS began is not to be trusted (RFC 3207 §4.2)."""
        self._buffer, self._position, self._overlong = b"", 0, False

    def expect_content(self, limit: int) -> None:
        """From here on comes a message, of at most *limit* octets: added dots do not count (RFC 1870 §3)."""
        self.mode = Mode.CONTENT
        self._allowed = limit
        self._limit = limit + limit // 3  # where every line is a dot
        self._chunks, self.size = [], 0
        # The CRLF that ended the DATA command counts as the first two octets of the end mark.
        self._tail = b"\r\n"

    def expect_chunk(self, octets: int, *, keep: bool) -> None:
        """From here on come that many octets of a message, whatever they are."""
        self.mode = Mode.CHUNK
        self._remaining = octets
        self._limit = octets if keep else -1
        self._chunks, self.size = [], 0

    def stop_keeping(self) -> None:
        """Go on looking for the end of the message, but keep nothing of it."""
        self._limit = -1
        self._chunks = []

    def next(self) -> Frame | None:
        """Hand out the next frame; None when it has not arrived whole."""
        if self.mode is not Mode.LINES:
            return self._next_content() if self.mode is Mode.CONTENT else self._next_chunk()
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", start)
        if end < 0:
            if self._overlong or len(buffer) - start > MAX_LINE_OCTETS:
                self._overlong = True
                self._buffer, self._position = b"", 0
            return None
        self._position = end + 1
        if self._overlong or end - start > MAX_LINE_OCTETS:
            self._overlong = False
            return LineTooLong()
        if end > start and buffer[end - 1] == 13:  # CR
            end -= 1
        return buffer[start:end]

    def _next_content(self) -> Content | None:
        if self._position == len(self._buffer):
            return None
        data = self._buffer[self._position :] if self._position else self._buffer
        tail = self._tail
        # The end mark may begin within the last four octets before this chunk ...
        straddling = tail + data[:4]
        found = straddling.find(_END)
        end = found - len(tail) if found >= 0 else data.find(_END)
        if found < 0 and end < 0:
            self._keep(data)
            self._tail = (tail + data)[-4:] if len(data) < 4 else data[-4:]
            self._buffer, self._position = b"", 0
            return None
        # ... so `end`, where its first CR stands in this chunk, may be negative; the CRLF of the
        # end mark belongs to the message's last line.
        if end + 2 > 0:
            self._keep(data[: end + 2])
        self._position += end + len(_END)
        self.mode = Mode.LINES
        self.size += min(end + 2, 0)
        octets = None if self.size > self._limit else b"".join(self._chunks)[: self.size]
        self._chunks = []
        if octets is not None and self.size > self._allowed and len(dot_unstuffed(octets)) > self._allowed:
            octets = None
        return Content(octets, self.size)

    def _next_chunk(self) -> Chunk | None:
        data = self._buffer[self._position : self._position + self._remaining]
        self._position += len(data)
        self._remaining -= len(data)
        if data:
            self._keep(data)
        if self._remaining:
            return None
        self.mode = Mode.LINES
        octets = None if self._limit < 0 else b"".join(self._chunks)
        self._chunks = []
        return Chunk(octets)

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self._limit >= 0 and self.size <= self._limit + _MISTAKEN:
            if self._chunks and len(self._chunks[-1]) < LITTLE:
                self._chunks[-1] += data
            else:
                self._chunks.append(data)
        else:
            self._chunks = []
