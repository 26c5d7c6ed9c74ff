"""One connection as a pair of pipes: plain octets in and out, whether or not TLS lies between."""

from __future__ import annotations

import asyncio
import ssl

from relay.submission.tls import TlsLayer


class Wire:
    """What was said is collected until `flush`, so that the replies of a burst leave in one write."""

    __slots__ = ("_transport", "is_open", "said", "tls")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.said: list[bytes] = []  # what leaves with the next flush
        self.tls: TlsLayer | None = None  # what arrives goes through it, if TLS is on or being agreed on
        self.is_open = True

    @property
    def has_tls(self) -> bool:
        """Whether TLS is on, or being agreed on."""
        return self.tls is not None

    @property
    def is_ready(self) -> bool:
        """Whether anything can be said now: not before the other side has agreed on TLS."""
        return self.tls is None or self.tls.is_established

    @property
    def end_point(self) -> bytes | None:
        """The channel binding tls-server-end-point, if TLS is on and there is one."""
        return self.tls.end_point if self.tls is not None else None

    def start_tls(self, context: ssl.SSLContext) -> None:
        """From here on everything goes through TLS; the other side begins."""
        self.flush()
        self.tls = TlsLayer(context)

    def flush(self, *, is_last: bool = False) -> None:
        """Write everything said, in one piece."""
        if not self.is_open:
            return
        octets = b"".join(self.said)
        self.said.clear()
        if self.tls is not None and (octets or is_last or not self.tls.can_wait):
            try:
                octets = self.tls.seal(octets, is_last=is_last)
            except ssl.SSLError:  # nothing can reach the other side any more
                self.abort()
                return
        if octets:
            self._transport.write(octets)

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
            self.flush(is_last=True)
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever was written."""
        if self.is_open:
            self._transport.abort()

    def lost(self) -> None:
        """The connection is gone: nothing said from here on reaches anybody."""
        self.is_open = False
