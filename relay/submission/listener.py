"""The door as a whole: its ports, who is inside, and how it is closed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from relay import log
from relay.accounts.credentials import RecentUses, Use, record_use
from relay.accounts.issuer import Issuer
from relay.accounts.verifier import Verifier
from relay.budget import Budget
from relay.config import Listener, TlsMode
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.submission import replies
from relay.submission.connection import Entrance
from relay.submission.ended import rule_of
from relay.submission.gate import Gate
from relay.submission.guard import Guard
from relay.submission.handler import Handler, Office
from relay.submission.logbook import Logbook
from relay.submission.patience import Patience, patience_of
from relay.submission.refusals import SESSION
from relay.submission.server import Server

_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port, and the listener that it belongs to."""

    listener: Listener
    number: int

    @property
    def is_implicit(self) -> bool:
        """Whether TLS begins with the first byte."""
        return self.listener.tls is TlsMode.IMPLICIT


class Door:
    """What all connections of a process share."""

    def __init__(
        self,
        office: Office,
        *,
        verifier: Verifier,
        budget: Budget,
        tls_context: ssl.SSLContext,
        issuer: Issuer | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.office = office
        self.handler = Handler(office)
        self.hooks = hooks_of(self.handler)
        self.limits = self.handler.limits  # the server's own, as the settings are when it is called
        self.hostname = office.hostname
        self.verifier = verifier
        self.budget = budget
        self.tls_context = tls_context
        self.issuer = issuer  # of access tokens
        self._entrances: list[Entrance] = []
        self._inside: set[Server] = set()
        self._waiting: set[Gate] = set()  # for the header that says who it is
        self._by_address: Counter[str] = Counter()
        self.guard = Guard(monotonic)
        self.logbook = Logbook(self.loop, self.handler.write_aside)
        self._uses = RecentUses()
        self._is_closing = False

    # --- opening and closing ----------------------------------------------------------------

    async def listen(self, listener: Listener, sockets: Sequence[socket.socket]) -> None:
        """Take connections on *sockets*, which are bound already, as *listener* says."""
        for bound in sockets:
            port = Port(listener, bound.getsockname()[1])
            self._entrances.append(Entrance(self.loop, bound, partial(self._enter, port)))

    def _enter(self, port: Port) -> asyncio.Protocol:
        """Who answers a new connection."""
        return Gate(self, port) if port.listener.proxy_from else Server(self, port)

    async def sweep(self) -> None:
        """End the sessions whose time is up, again and again: one timer for all of them."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = monotonic()
            for server in [s for s in self._inside if s.deadline < now]:
                server.time_is_up()

    async def close(self, grace: float) -> None:
        """Take nobody else; send the idle away; let messages that are arriving end within *grace* seconds."""
        self._is_closing = True
        while self._entrances:
            self._entrances.pop().close()
        for gate in list(self._waiting):
            gate.turn_away()
        until = monotonic() + grace
        while self._inside and monotonic() < until:
            for server in [s for s in self._inside if not s.is_busy]:
                server.turn_away(replies.SHUTTING_DOWN)
            await asyncio.sleep(0.05)
        for server in list(self._inside):
            server.turn_away(replies.SHUTTING_DOWN)
        self.logbook.write()

    # --- who is inside ----------------------------------------------------------------------

    def let_wait(self, gate: Gate) -> bool:
        """Count a balancer's connection until it says for whom it comes; False if there are too many.

        It counts among all, and not for its address, which is that of the balancer's every client.
        """
        if self._is_closing or self._is_full(self.office.settings.value.max_connections - 1):
            return False
        self._waiting.add(gate)
        return True

    def has_waited(self, gate: Gate) -> None:
        """It has said so, or it is gone."""
        self._waiting.discard(gate)

    def _is_full(self, most: int) -> bool:
        return len(self._inside) + len(self._waiting) > most

    def admit(self, server: Server) -> Reply | None:
        """Count a new connection; a reply if it cannot stay."""
        facts = server.session.facts
        self._inside.add(server)
        self._by_address[facts.peer_address] += 1
        log.session_opened(session=facts.id, listener=facts.listener, peer=facts.peer_address)
        settings = self.office.settings.value
        if self._is_closing:
            return replies.SHUTTING_DOWN
        if self._is_full(settings.max_connections):
            return self._refuse(facts, replies.TOO_MANY_CONNECTIONS)
        if self._by_address[facts.peer_address] > settings.max_connections_per_address:
            said = replies.TOO_MANY_CONNECTIONS.saying("Too many connections from your address")
            return self._refuse(facts, said)
        return None

    def _refuse(self, facts: Session, reply: Reply) -> Reply:
        self.handler.refusals.note(facts, kind=SESSION, rule="connections", reply=reply)
        return reply

    def note_end(self, facts: Session, last_word: Reply) -> None:
        """We end a session; remember it if the client made us."""
        if (rule := rule_of(last_word, facts)) is not None:
            self.handler.refusals.note(facts, kind=SESSION, rule=rule, reply=last_word)

    def dismiss(self, server: Server, reason: str) -> None:
        """A connection is gone."""
        if server in self._inside:
            self._inside.remove(server)
            facts = server.session.facts
            self._by_address[facts.peer_address] -= 1
            if not self._by_address[facts.peer_address]:
                del self._by_address[facts.peer_address]
            log.session_closed(session=facts.id, reason=reason)

    def note_login(self, facts: Session) -> None:
        """Keep when and from where a credential was last used; the client does not wait for that."""
        now = self.office.clock.now()
        credential_id = facts.credential_id
        if credential_id is not None and self._uses.is_due(credential_id, now):
            use = Use(credential_id, now, facts.peer_address, facts.helo)
            self.handler.write_aside(record_use, use)

    @property
    def sessions(self) -> Sequence[Server]:
        """Everybody inside."""
        return tuple(self._inside)

    # --- what connections ask for -----------------------------------------------------------

    def new_session_id(self) -> str:
        """A name for a connection, for the log and the story of its messages."""
        return self.office.new_id(self.office.clock.now())

    def patience(self) -> Patience:
        """How much a session that begins now may cost."""
        return patience_of(self.office.settings.value)


def hooks_of(handler: object) -> dict[str, Callable[..., Awaitable[Any]]]:
    """The hooks a handler of aiosmtpd's manner has: MAIL for handle_MAIL, and so on."""
    return {
        name.removeprefix("handle_"): getattr(handler, name)
        for name in dir(handler)
        if name.startswith("handle_")
    }
