"""The sandbox: an upstream that takes everything, sends nothing on, and keeps it to be looked at."""

from __future__ import annotations

import asyncio

from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.transports.base import Answers
from relay.delivery.transports.parameters import Offers
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream

KEPT = Reply(250, "0.0", "Kept in the sandbox")


class Sandbox:
    """Both the transport and its connections: there is nothing to connect to."""

    remote = "sandbox"
    tls: str | None = None
    keeps_content = True
    is_usable = True
    offers = Offers()

    def __init__(self, upstream: Upstream, hostname: str, tokens: TokenSource) -> None:
        """It needs nothing of what any other kind is told."""

    async def connect(self, destination: str = "") -> Sandbox:  # noqa: ARG002  it takes mail for all
        """Be ready."""
        return self

    async def deliver(self, envelope: Envelope, content: bytes, priority: Priority) -> Answers:  # noqa: ARG002
        """Take it for everybody."""
        await asyncio.sleep(0)  # as if there were something to wait for: others have their turn meanwhile
        return Answers(dict.fromkeys((r.number for r in envelope.recipients), KEPT))

    async def close(self) -> None:
        """Nothing is open."""
