"""The gate before a door that a balancer stands at: who is the client, before anything else is said.

On a listener with `proxy_from`, a connection begins here: it must come from one of those networks and
with a PROXY header.  Then the server takes the connection over as if the client had made it itself;
before that nobody is greeted or answered, and it has the time of a handshake.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from relay import log
from relay.submission.proxy import BadProxyHeader, ProxyHeader, is_within, read_header
from relay.submission.server import Server

if TYPE_CHECKING:
    from relay.submission.listener import Door, Port


class Gate(asyncio.Protocol):
    """One connection until its PROXY header has come whole."""

    __slots__ = ("_heard", "_patience", "_peer", "_transport", "door", "port")

    def __init__(self, door: Door, port: Port) -> None:
        self.door = door
        self.port = port
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came: a balancer has a moment to say for whom, anybody else is not let in."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer: Any = transport.get_extra_info("peername") or ("", 0)
        self._peer = str(peer[0])
        seconds = self.door.patience().handshake
        self._patience = self.door.loop.call_later(seconds, self._refuse, "no PROXY header came in time")
        if not is_within(self._peer, self.port.listener.proxy_from):
            self._refuse("it is not one of the listener's balancers (proxy_from)")
        elif not self.door.let_wait(self):
            self._refuse("there are too many connections")

    def data_received(self, data: bytes) -> None:
        """Wait for the end of the header, then let the client in; what came behind it is its own."""
        if self._transport.is_closing():
            return
        self._heard += data
        try:
            header = read_header(self._heard)
        except BadProxyHeader as fault:
            self._refuse(str(fault))
            return
        if header is not None:
            self._let_in(header)

    def connection_lost(self, _error: Exception | None) -> None:
        """It went without a word."""
        self._patience.cancel()
        self.door.has_waited(self)

    def turn_away(self) -> None:
        """The door closes; whoever waits here was promised nothing."""
        self._transport.abort()

    def _let_in(self, header: ProxyHeader) -> None:
        self._patience.cancel()
        self.door.has_waited(self)
        server = Server(self.door, self.port, client=header.client)
        self._transport.set_protocol(server)
        server.connection_made(self._transport)
        if rest := self._heard[header.length :]:
            server.data_received(rest)

    def _refuse(self, why: str) -> None:
        # Without a word: a greeting would tell whoever guesses at balancers that there is one.
        self._patience.cancel()
        log.balancer_refused(listener=self.port.listener.name, peer=self._peer, why=why)
        self._transport.abort()
