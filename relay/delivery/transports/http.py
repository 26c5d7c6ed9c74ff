"""Carrying messages to a service over HTTP: one request a message, its answer read as SMTP's would be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from relay.clock import SystemClock
from relay.delivery.classify import (
    Scope,
    Step,
    Trouble,
    as_told,
    cannot_open,
    no_token,
    perhaps_delivered,
)
from relay.delivery.classify_http import broken, said
from relay.delivery.oauth.grants import NoToken
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.transports.base import Answers
from relay.delivery.transports.parameters import refused_unasked, unfit
from relay.delivery.transports.services import SERVICES
from relay.delivery.transports.services.base import Parcel, Request, Response, Unfit
from relay.delivery.transports.trust import Trust
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream
from relay.sealing import CannotUnseal

if TYPE_CHECKING:
    import httpx2

ANSWER_SECONDS = 300.0  # who gives up sooner may send twice
_LONGEST_SECONDS = 2 * ANSWER_SECONDS  # for the whole of it, however slowly it drips
_MOST_ANSWERED = 256 * 1024  # octets of an answer that anybody looks at
# Servers close idle connections, and a request that meets that cannot be told from one that was lost.
_IDLE_SECONDS = 5.0
_THE_REST = Reply(452, "5.3", "The service takes only so many recipients at once")


class Http:
    """How to reach one service."""

    def __init__(self, upstream: Upstream, hostname: str, tokens: TokenSource) -> None:
        self.upstream = upstream
        self._hostname = hostname
        self._tokens = tokens
        self._trust = Trust(upstream)

    async def connect(self, destination: str = "") -> HttpConnection:  # noqa: ARG002  it takes mail for all
        """Be ready to ask; the connection itself is opened with the first request.  Raises Trouble."""
        import httpx2  # noqa: PLC0415  only where there is such an upstream: it takes time and memory

        if self.upstream.options.oauth is not None:
            await token_for(self.upstream, self._tokens)
        try:
            context = await self._trust()
        except ssl.SSLError as fault:
            raise cannot_open(Step.TLS, fault) from fault
        client = httpx2.AsyncClient(
            verify=context,
            timeout=httpx2.Timeout(self.upstream.timeout.total_seconds(), read=ANSWER_SECONDS),
            limits=httpx2.Limits(max_connections=1, keepalive_expiry=_IDLE_SECONDS),
            headers={"User-Agent": f"relay ({self._hostname})"},
            trust_env=False,
        )
        return HttpConnection(self.upstream, client, self._tokens, SystemClock().now)


async def token_for(upstream: Upstream, tokens: TokenSource, *, refused: str | None = None) -> str | None:
    """The token to show, if the upstream wants one.  Raises Trouble."""
    if upstream.options.oauth is None:
        return None
    try:
        return await tokens.get(upstream, refused=refused)
    except (NoToken, CannotUnseal) as fault:
        raise no_token(str(fault)) from fault


class HttpConnection:
    """A way to a service, for one message after the other."""

    keeps_content = False

    def __init__(
        self,
        upstream: Upstream,
        client: httpx2.AsyncClient,
        tokens: TokenSource,
        now: Callable[[], datetime],
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._tokens = tokens
        self._now = now
        self._service = SERVICES[upstream.kind]
        self.remote = upstream.options.url
        self.tls = "HTTPS" if upstream.options.is_secure else None
        self.offers = self._service.offers()

    @property
    def is_usable(self) -> bool:
        """Whether another message may be offered on it."""
        return not self._client.is_closed

    async def deliver(self, envelope: Envelope, content: bytes, priority: Priority) -> Answers:
        """Offer one message, to as many of its recipients as the service takes at once."""
        service = self._service
        numbers = [recipient.number for recipient in envelope.recipients]
        replies = refused_unasked(envelope, content, self.offers)
        willing = [r for r in envelope.recipients if r.number not in replies]
        misfits = unfit(replies)
        now_asked, later = willing[: service.most_recipients], willing[service.most_recipients :]
        replies |= {recipient.number: _THE_REST for recipient in later}
        unheard = frozenset(replies)
        if not now_asked:
            return Answers(replies, unheard, unfit=misfits)
        try:
            open_to = envelope._replace(recipients=tuple(willing))
            parcel = Parcel(self._upstream, open_to, tuple(now_asked), content, priority, self._now())
            replies |= await self._sent(parcel)
        except Unfit as fault:
            everybody = dict.fromkeys((recipient.number for recipient in willing), fault.reply)
            return Answers(replies | everybody, frozenset(numbers), unfit=misfits.union(everybody))
        except Trouble as trouble:
            is_doubtful = trouble.step is Step.DOT
            told = as_told(trouble.reply, trouble.scope)
            told = perhaps_delivered(told) if is_doubtful else told
            words = {recipient.number: told for recipient in now_asked}
            return Answers(
                replies | words,
                frozenset(numbers),
                trouble,
                is_untried=trouble.step is Step.MAIL,
                perhaps_delivered=is_doubtful,
                unfit=misfits,
            )
        return Answers(replies, unheard, unfit=misfits)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def probe(self) -> str:
        """Ask for something that changes nothing, to see whether we are known.  Raises Trouble."""
        token = await token_for(self._upstream, self._tokens)
        try:
            request = self._service.probe(self._upstream, self._now(), token)
        except CannotUnseal as fault:
            raise cannot_open(Step.AUTH, fault) from fault
        if request is None:
            return "a token was given" if token else "there is nothing to ask without sending"
        response = await self._ask(request, Step.AUTH)
        if self._service.knows_us(response):
            return f"{response.status}, we are known"
        raise _as_trouble(self._verdict(response), Step.AUTH)

    async def _sent(self, parcel: Parcel) -> dict[int, Reply]:
        """Send; a token that is refused is replaced once.  Raises Trouble, Unfit."""
        token = await token_for(self._upstream, self._tokens)
        response = await self._ask_with(parcel, token)
        if response.status == 401 and token is not None:
            token = await token_for(self._upstream, self._tokens, refused=token)
            response = await self._ask_with(parcel, token)
        if 200 <= self._service.meant(response) < 300:
            self.offers = self._service.offers(response)  # what it sees to itself it says only now
            return dict(self._service.each(parcel, response))
        verdict = self._verdict(response)
        if isinstance(verdict, Trouble):
            raise verdict
        return {recipient.number: verdict for recipient in parcel.recipients}

    async def _ask_with(self, parcel: Parcel, token: str | None) -> Response:
        try:
            # Base64 and hashes of a large message would hold up everybody else.
            request = await asyncio.to_thread(self._service.request, replace(parcel, token=token))
        except CannotUnseal as fault:
            raise cannot_open(Step.AUTH, fault) from fault
        return await self._ask(request, Step.DOT)

    async def _ask(self, request: Request, step: Step) -> Response:
        """One request and its answer.  Raises Trouble if there is none."""
        import httpx2  # noqa: PLC0415  see `Http.connect`

        asked = self._client.stream(
            request.method, request.url, content=request.content, headers=dict(request.headers)
        )
        try:
            async with asyncio.timeout(_LONGEST_SECONDS), asked as answer:
                body = await _beginning_of(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as fault:
            raise broken(fault, step) from fault
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, body)

    def _verdict(self, response: Response) -> Reply | Trouble:
        status, words = self._service.meant(response), self._service.words(response)
        return said(status, f"HTTP {response.status}: {words}", self._service.pause(response, self._now()))


async def _beginning_of(answer: httpx2.Response) -> bytes:
    """The body, as far as anybody wants to know it: a service must not fill our memory.

    A refusal stands also where its words break off, as they do if it came before all was sent.
    """
    import httpx2  # noqa: PLC0415  see `Http.connect`

    body = bytearray()
    try:
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _MOST_ANSWERED:
                break
    except httpx2.HTTPError:
        if answer.is_success:
            raise
    return bytes(body[:_MOST_ANSWERED])


def _as_trouble(verdict: Reply | Trouble, step: Step) -> Trouble:
    if isinstance(verdict, Trouble):
        return Trouble(verdict.reply, verdict.scope, step, verdict.pause)
    return Trouble(verdict, Scope.UPSTREAM, step)
