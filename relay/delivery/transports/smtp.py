"""Opening a connection to an SMTP upstream, step by step: the one file that knows aiosmtplib's insides.

aiosmtplib secures, greets and authenticates the connection; then our own Dialogue takes over its
transport, because it can have many commands on the way at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import aiosmtplib

from relay.delivery.classify import Step, Trouble, cannot_open, not_understood
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.transports.bearer import HungUp, log_in_with_token
from relay.delivery.transports.dialogue import Dialogue
from relay.delivery.transports.parameters import Offers
from relay.delivery.transports.pipeline import Pipeline
from relay.delivery.transports.trust import Trust
from relay.routing.upstreams import Tls, Upstream


class Smtp:
    """How to reach one SMTP upstream."""

    def __init__(self, upstream: Upstream, hostname: str, tokens: TokenSource) -> None:
        self.upstream = upstream
        self._hostname = hostname
        self._tokens = tokens
        self._trust = Trust(upstream)

    async def connect(self, destination: str = "") -> Pipeline:  # noqa: ARG002  it takes mail for all
        """Open a connection, ready for its first message.  Raises Trouble."""
        try:
            return await self._opened()
        except Trouble as trouble:
            if not isinstance(trouble.__cause__, HungUp):
                raise
            return await self._opened()

    async def _opened(self) -> Pipeline:
        return await self.opening().to_the_end()

    def opening(self) -> Opening:
        """A connection that is yet to be opened, for whoever wants to look at each step."""
        return Opening(self.upstream, self._hostname, self._trust, self._tokens)


_BEFORE_MAIL: Mapping[Tls, tuple[Step, ...]] = {
    Tls.NONE: (Step.DNS, Step.CONNECT, Step.BANNER, Step.EHLO),
    Tls.OPPORTUNISTIC: (Step.DNS, Step.CONNECT, Step.BANNER, Step.EHLO, Step.TLS),
    Tls.STARTTLS: (Step.DNS, Step.CONNECT, Step.BANNER, Step.EHLO, Step.TLS),
    Tls.IMPLICIT: (Step.DNS, Step.CONNECT, Step.TLS, Step.BANNER, Step.EHLO),
}


class Opening:
    """A connection on its way to be usable; its `steps` are to be taken in their order.

    *addresses* are those of the host, where they are known already.
    """

    def __init__(
        self,
        upstream: Upstream,
        hostname: str,
        trust: Trust,
        tokens: TokenSource,
        addresses: Sequence[str] = (),
    ) -> None:
        self.steps = _BEFORE_MAIL[upstream.tls] + ((Step.AUTH,) if upstream.username else ())
        self._upstream = upstream
        self._hostname = hostname
        self._trust = trust
        self._tokens = tokens
        self._places = addresses or (upstream.host,)
        self._addresses: list[tuple[int, Any]] = []
        self._socket: socket.socket | None = None
        self._client: aiosmtplib.SMTP | None = None
        self._greeting = ""

    async def to_the_end(self) -> Pipeline:
        """Take all steps.  Raises Trouble, after hanging up."""
        for step in self.steps:
            await self.take(step)
        return self.into_pipeline()

    async def take(self, step: Step) -> str:
        """Take one step and say what came of it.  Raises Trouble, after hanging up."""
        try:
            async with asyncio.timeout(self._upstream.timeout.total_seconds()):
                return await _ACTIONS[step](self)
        except (OSError, ValueError, aiosmtplib.SMTPException) as fault:
            # ValueError: a name that is no host name, a password that no key opens.
            self.abandon()
            raise cannot_open(step, fault) from fault
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Hang up, wherever we are."""
        if self._client is not None:
            self._client.close()
        elif self._socket is not None:
            self._socket.close()

    def into_pipeline(self) -> Pipeline:
        """Take the connection over from aiosmtplib, once all steps are taken.  Raises Trouble."""
        client, transport = self.client, self._transport
        heard = client.protocol._buffer if client.protocol else b""  # noqa: SLF001  see the top
        if heard or transport.is_closing():
            self.abandon()
            raise not_understood(self.steps[-1], "more answers than commands")
        pipeline = Pipeline(
            Dialogue(transport),
            offers=Offers.read(
                client.esmtp_extensions, is_trusted=bool(self.tls) and self._upstream.verify_tls
            ),
            remote=self.remote,
            tls=self.tls,
            seconds=self._upstream.timeout.total_seconds(),
        )
        client.protocol = client.transport = None  # or it would close what is ours now
        return pipeline

    @property
    def client(self) -> aiosmtplib.SMTP:
        """The client, from the first word of the upstream on."""
        if self._client is None:
            raise RuntimeError("there is no connection yet")
        return self._client

    @property
    def remote(self) -> str:
        """Host, address and port spoken to."""
        address, port = self._transport.get_extra_info("peername")[:2]
        return f"{self._upstream.host} [{address}]:{port}"

    @property
    def tls(self) -> str | None:
        """Protocol version and cipher; None in the clear."""
        secured: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        if secured is None:
            return None
        cipher = secured.cipher()
        return f"{secured.version()} {cipher[0] if cipher else ''}".strip()

    @property
    def certificate(self) -> bytes | None:
        """The upstream's certificate (DER), believed or not."""
        secured: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return None if secured is None else secured.getpeercert(binary_form=True)

    @property
    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self.client.transport)

    # The steps -----------------------------------------------------------------------------------

    async def _look_up(self) -> str:
        loop, port = asyncio.get_running_loop(), self._upstream.port
        self._addresses = [
            (family, address)
            for place in self._places
            for family, *_, address in await loop.getaddrinfo(place, port, type=socket.SOCK_STREAM)
        ]
        return ", ".join(dict.fromkeys(str(address[0]) for _, address in self._addresses))

    async def _connect(self) -> str:
        """Try one address after the other; the last one's fault is the one that is told."""
        *others, last = self._addresses
        for family, address in others:
            try:
                return await self._connect_to(family, address)
            except OSError:
                continue
        return await self._connect_to(*last)

    async def _connect_to(self, family: int, address: Any) -> str:
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        # Each address has its share of the time, or one that is silent would take it all.
        share = self._upstream.timeout.total_seconds() / len(self._addresses)
        try:
            async with asyncio.timeout(share):
                await asyncio.get_running_loop().sock_connect(self._socket, address)
        except OSError:
            self._socket.close()
            raise
        return f"{address[0]} port {address[1]}"

    async def _greet(self) -> str:
        """Hear the greeting; with implicit TLS it was heard with the handshake."""
        if self._client is None:
            await self._start_client(None)
        return self._greeting

    async def _secure(self) -> str:
        context = await self._trust()
        if self._client is None:
            await self._start_client(context)
        else:
            if not self._client.supports_extension("starttls"):
                if self._upstream.tls is Tls.OPPORTUNISTIC:
                    return "not offered: mail goes in the clear"
                raise aiosmtplib.SMTPException("the upstream does not offer STARTTLS")
            # It drops what was said in the clear before the handshake (RFC 3207 §6).
            await self._client.starttls(tls_context=context)
            await self._introduce()
        return self.tls or ""

    async def _start_client(self, context: ssl.SSLContext | None) -> None:
        self._client = aiosmtplib.SMTP(
            hostname=self._upstream.host.removesuffix("."),  # as certificates spell it
            sock=self._socket,
            local_hostname=self._hostname,
            use_tls=context is not None,
            tls_context=context,
            start_tls=False,
            timeout=None,  # each step is bounded as a whole
        )
        self._greeting = (await self._client.connect()).message

    async def _introduce(self) -> str:
        """EHLO, or HELO to whoever does not understand it (RFC 5321 §3.2)."""
        try:
            await self.client.ehlo()
        except aiosmtplib.SMTPHeloError as refusal:
            if not 500 <= refusal.code < 600:
                raise
            await self.client.helo()
        return " ".join(word.upper() for word in self.client.esmtp_extensions) or "no extensions"

    async def _log_in(self) -> str:
        if self._upstream.options.oauth is not None:
            return await log_in_with_token(self.client, self._upstream, self._tokens)
        username, password = self._upstream.username or "", self._upstream.password
        offered = self.client.server_auth_methods
        way = next((way for way in _LOGINS if way in offered), None)
        if way is None:
            known = ", ".join(offered).upper() or "none"
            raise aiosmtplib.SMTPException(f"it offers no way to log in that we know (offered: {known})")
        await _LOGINS[way](self.client, username, password.reveal() if password else "")
        return f"logged in as {username} ({way.upper()})"


# The first that is offered is used, and only that one: three wrong passwords may lock an account.
_LOGINS: Mapping[str, Callable[[aiosmtplib.SMTP, str, str], Awaitable[object]]] = {
    "plain": aiosmtplib.SMTP.auth_plain,
    "login": aiosmtplib.SMTP.auth_login,
    "cram-md5": aiosmtplib.SMTP.auth_crammd5,
}

_ACTIONS: Mapping[Step, Callable[[Opening], Awaitable[str]]] = {
    Step.DNS: Opening._look_up,  # noqa: SLF001  its own steps
    Step.CONNECT: Opening._connect,  # noqa: SLF001
    Step.BANNER: Opening._greet,  # noqa: SLF001
    Step.EHLO: Opening._introduce,  # noqa: SLF001
    Step.TLS: Opening._secure,  # noqa: SLF001
    Step.AUTH: Opening._log_in,  # noqa: SLF001
}
