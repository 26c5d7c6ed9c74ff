"""Walking to a service over HTTP step by step: name, port, certificate, and whether it knows us."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from relay.delivery.classify import Scope, Step, Trouble, cannot_open
from relay.delivery.findings import Finding, Report, certificate_facts, failure
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.transports.http import Http
from relay.delivery.transports.trust import tls_context
from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.routing.upstreams import Upstream


async def check_service(
    upstream: Upstream, *, hostname: str, whom: Address | None, letter: bytes | None, tokens: TokenSource
) -> Report:
    """Walk all steps to *upstream*; with a *letter*, it is really sent, from and to *whom*."""
    walk = _Walk(upstream, Http(upstream, hostname, tokens))
    steps: list[tuple[Step, Callable[[], Awaitable[str]]]] = [
        (Step.DNS, walk.look_up),
        (Step.CONNECT, walk.connect),
        *([(Step.TLS, walk.secure)] if upstream.options.is_secure else []),
        (Step.AUTH, walk.introduce),
    ]
    if letter is not None and whom is not None:
        steps.append((Step.DOT, lambda: walk.send(whom, letter)))
    return await _taken(steps, upstream)


async def _taken(steps: list[tuple[Step, Callable[[], Awaitable[str]]]], upstream: Upstream) -> Report:
    clock = asyncio.get_running_loop().time
    findings: list[Finding] = []
    for step, action in steps:
        begun_at = clock()
        try:
            async with asyncio.timeout(upstream.timeout.total_seconds()):
                told = await action()
        except (Trouble, OSError, ValueError) as fault:  # ValueError: a name that is no host name
            trouble = fault if isinstance(fault, Trouble) else cannot_open(step, fault)
            trouble = Trouble(trouble.reply, trouble.scope, step)
            findings.append(failure(trouble, clock() - begun_at, upstream.options.port))
            return Report(tuple(findings), f"It failed at {step.value}: {trouble.reply}")
        findings.append(Finding(step, True, clock() - begun_at, told, _warning(step, upstream)))
    last = findings[-1]
    if last.step is Step.DOT:
        return Report(tuple(findings), f"The test message was taken: {last.detail}")
    return Report(tuple(findings), f"{upstream.name} can be reached and lets us in; nothing was sent.")


def _warning(step: Step, upstream: Upstream) -> str | None:
    if step is Step.TLS and not upstream.verify_tls:
        return "The certificate is not verified: whoever stands between can read the mail and the keys."
    if step is Step.AUTH and not upstream.options.is_secure:
        return "The keys went over the network in the clear: use https."
    return None


class _Walk:
    """The steps to one service."""

    def __init__(self, upstream: Upstream, transport: Http) -> None:
        self._upstream = upstream
        self._transport = transport

    async def look_up(self) -> str:
        options = self._upstream.options
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
        return ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))

    async def connect(self) -> str:
        return await self._open(None)

    async def secure(self) -> str:
        return await self._open(await asyncio.to_thread(tls_context, self._upstream))

    async def _open(self, context: ssl.SSLContext | None) -> str:
        options = self._upstream.options
        _, writer = await asyncio.open_connection(options.host, options.port, ssl=context)
        try:
            secured: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
            if secured is None:
                address, port = writer.get_extra_info("peername")[:2]
                return f"{address} port {port}"
            der = secured.getpeercert(binary_form=True) or b""
            return f"{secured.version()}; {certificate_facts(der, options.host)}"
        finally:
            writer.close()

    async def introduce(self) -> str:
        connection = await self._transport.connect()
        try:
            return await connection.probe()
        finally:
            await connection.close()

    async def send(self, whom: Address, letter: bytes) -> str:
        envelope = Envelope(whom, (Recipient(1, whom),), smtputf8=not whom.is_ascii)
        connection = await self._transport.connect()
        try:
            answers = await connection.deliver(envelope, letter, Priority.NORMAL)
        finally:
            await connection.close()
        (reply,) = answers.replies.values()
        if not reply.is_success:
            raise answers.trouble or Trouble(reply, Scope.MESSAGE, Step.DOT)
        return str(reply)
