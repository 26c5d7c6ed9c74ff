"""TLS without I/O: ciphertext in, plaintext out, and the other way round.

The connection's own transport stays in place, so that TLS can begin at any moment (at once on an
implicit port, after STARTTLS, behind a PROXY line), and replies of a burst are sealed in one piece.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

from relay.certificates import end_point_of

_READ = 16 * 1024  # octets: no record holds more (RFC 8446 §5.1), and a read brings one
_MOST_WAITING = 4 * 1024  # octets of what TLS has to say, before it is said for its own sake


class TlsLayer:
    """The server's side of one TLS connection."""

    __slots__ = (
        "_context",
        "_end_point",
        "_incoming",
        "_is_patient",
        "_outgoing",
        "_session",
        "has_ended",
        "is_established",
    )

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = context
        self._end_point = end_point_of(context)  # now: the context may be given another certificate
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_established = False
        self._is_patient = False
        self.has_ended = False  # the other side said goodbye: nothing more will come

    def receive(self, ciphertext: bytes) -> bytes:
        """Take what arrived and return what it says, perhaps nothing yet.

        Raises ssl.SSLError when the other side breaks the protocol; what is sealed next may then begin
        with the alert that tells it so.
        """
        pieces: list[bytes] = []
        self._incoming.write(ciphertext)
        try:
            if not self.is_established:
                self._session.do_handshake()
                self.is_established = True
                self._is_patient = self._session.version() == "TLSv1.3"
            # Each call into OpenSSL lets other threads run and costs as much as a command does: so none
            # is made only to be told that there is nothing more.  A read leaves nothing of its record.
            while self._incoming.pending and not self.has_ended:
                piece = self._session.read(_READ)
                pieces.append(piece)
                self.has_ended = not piece
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        return b"".join(pieces)

    def seal(self, plaintext: bytes, *, is_last: bool = False) -> bytes:
        """Return what is to be written to the connection: what TLS itself has to say, and *plaintext*.

        Behind the last of it our direction is closed properly, so that the other side can tell an end
        from a cut.  Raises ssl.SSLError when nothing can be sealed: so it is once the other side has begun
        a handshake message and not ended it, for then OpenSSL wants the rest first.
        """
        if plaintext:
            self._session.write(plaintext)
        if is_last and self.is_established:
            with suppress(ssl.SSLError):  # it wants the other side's goodbye, for which nobody waits
                self._session.unwrap()
        return self._outgoing.read()

    @property
    def can_wait(self) -> bool:
        """Whether what TLS itself has to say may go with our next words.

        In 1.3 those are tickets and new keys (RFC 8446 §4.6), for which nobody waits; but a client that
        asks for new keys without end must not have us hoard them.  In 1.2 it may be the end of the handshake.
        """
        return self._is_patient and self._outgoing.pending < _MOST_WAITING

    @property
    def end_point(self) -> bytes | None:
        """The channel binding tls-server-end-point; None where it is not sure which certificate was shown."""
        if self._session.session_reused:
            return None
        shown = self._session.context
        return self._end_point if shown is self._context else end_point_of(shown)

    @property
    def description(self) -> str:
        """Protocol version and cipher, as "TLSv1.3 TLS_AES_256_GCM_SHA384"."""
        cipher = self._session.cipher()
        return f"{self._session.version()} {cipher[0]}" if cipher else ""
