"""Testing an upstream, whatever its kind is."""

from __future__ import annotations

from relay.clock import SystemClock
from relay.delivery.check_direct import check_direct
from relay.delivery.check_service import check_service
from relay.delivery.findings import Report
from relay.delivery.oauth.tokens import OwnTokens, TokenSource
from relay.delivery.transports.smtp import Smtp
from relay.delivery.walk import Walk
from relay.mail.address import Address
from relay.routing.upstreams import Kind, Upstream


async def check_upstream(
    upstream: Upstream,
    *,
    hostname: str,
    address: Address | None = None,
    letter: bytes | None = None,
    tokens: TokenSource | None = None,
) -> Report:
    """Walk all steps to *upstream*; never raises for what is found there.

    The last steps offer a message from and to *address* (the account's own, if none is given and it has
    one), and take it back before it is sent; with a *letter* it is really sent.
    """
    tokens, whom = tokens or OwnTokens(SystemClock()), address or upstream.own_address
    match upstream.kind:
        case Kind.SANDBOX:
            return Report((), "Mail is kept here; there is nothing to connect to.")
        case Kind.MX:
            return await check_direct(upstream, hostname=hostname, whom=whom, letter=letter, tokens=tokens)
        case Kind.SMTP:
            opening = Smtp(upstream, hostname, tokens).opening()
            return await Walk(upstream, opening, whom, letter).to_the_end()
        case _:
            return await check_service(upstream, hostname=hostname, whom=whom, letter=letter, tokens=tokens)
