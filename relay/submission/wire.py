"""One connection as a pair of pipes: plain octets in and out, whether or not TLS lies between."""

from __future__ import annotations

import asyncio
import ssl

from relay.submission.tls import TlsLayer


class Wire:
    """What was said is collected until `flush`, so that the replies of a burst leave in one write."""

    __slots__ = ("_said", "_tls", "_transport", "is_open")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._tls: TlsLayer | None = None
        self._said: list[bytes] = []
        self.is_open = True

    @property
    def has_tls(self) -> bool:
        """Whether TLS is on, or being agreed on."""
        return self._tls is not None

    @property
    def is_ready(self) -> bool:
        """Whether anything can be said now: not before the other side has agreed on TLS."""
        return self._tls is None or self._tls.is_established

    @property
    def has_ended(self) -> bool:
        """Whether the other side closed TLS and will say no more."""
        return self._tls is not None and self._tls.has_ended

    @property
    def tls(self) -> str | None:
        """Protocol version and cipher, if TLS is on."""
        return self._tls.description if self._tls is not None else None

    @property
    def end_point(self) -> bytes | None:
        """The channel binding tls-server-end-point, if TLS is on and there is one."""
        return self._tls.end_point if self._tls is not None else None

    def start_tls(self, context: ssl.SSLContext) -> None:
        """From here on everything goes through TLS; the other side begins."""
        self.flush()
        self._tls = TlsLayer(context)

    def receive(self, octets: bytes) -> bytes:
        """Return what the octets that arrived say; perhaps nothing yet.  Raises ssl.SSLError."""
        return octets if self._tls is None else self._tls.receive(octets)

    def say(self, octets: bytes) -> None:
        """Let *octets* leave with the next flush."""
        self._said.append(octets)

    def flush(self) -> None:
        """Write everything said, in one piece."""
        if self._said or self._tls is None or not self._tls.can_wait:
            self._write(is_last=False)

    def _write(self, *, is_last: bool) -> None:
        said = b"".join(self._said)
        self._said.clear()
        if not self.is_open:
            return
        if self._tls is not None:
            if said:
                self._tls.send(said)
            if is_last and self._tls.is_established:
                self._tls.say_goodbye()
            said = self._tls.outgoing
        if said:
            self._transport.write(said)

    def pause(self) -> None:
        """Take in nothing more for now."""
        if self.is_open:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Take in what comes."""
        if self.is_open:
            self._transport.resume_reading()

    def close(self) -> None:
        """Write what was said, say goodbye, and close once that is out."""
        if self.is_open and not self._transport.is_closing():
            self._write(is_last=True)
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever was written."""
        if self.is_open:
            self._transport.abort()

    def lost(self) -> None:
        """The connection is gone: nothing said from here on reaches anybody."""
        self.is_open = False
