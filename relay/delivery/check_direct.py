"""Walking to the servers of one domain step by step: what DNS and its policy say, and who answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from relay.delivery.classify import Step, Trouble
from relay.delivery.findings import Finding, Report, failure
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.transports.mx import MOST_HOSTS, Destination, Mx
from relay.delivery.walk import Walk
from relay.mail.address import Address
from relay.routing.upstreams import Tls, Upstream

_NOT_SPOKEN_TO = frozenset({Step.DNS, Step.CONNECT, Step.BANNER, Step.EHLO})
_IN_THE_CLEAR = "TLS does not work there, so mail goes in the clear."


async def check_direct(
    upstream: Upstream, *, hostname: str, whom: Address | None, letter: bytes | None, tokens: TokenSource
) -> Report:
    """Walk to the first host that takes mail for the domain of *whom*; with a *letter*, it is really sent.

    What is offered there has the null sender, unless the upstream has one: any other were a lie.
    """
    if whom is None:
        return Report((), "Each domain has its own servers: test the way to some with --address ADDRESS.")
    transport, clock = Mx(upstream, hostname, tokens), asyncio.get_running_loop().time
    begun_at = clock()
    try:
        found = await transport.look_up(whom.domain_key)
    except Trouble as trouble:
        return _ended(failure(trouble, clock() - begun_at, upstream.port))
    looked_up = Finding(Step.DNS, True, clock() - begun_at, _words(found))
    report = Report((), "")
    for host in found.hosts[:MOST_HOSTS]:
        report = await _walked(transport, transport.hop(host, found), whom, letter)
        if report.is_good or report.findings[-1].step not in _NOT_SPOKEN_TO:
            break
    return Report((looked_up, *report.findings), report.verdict)


async def _walked(transport: Mx, hop: Upstream, whom: Address, letter: bytes | None) -> Report:
    """The way to one host, once more without TLS where mail would go on without."""
    try:
        opening = await transport.opening(hop)
    except Trouble as trouble:
        return _ended(failure(trouble, 0.0, hop.port))
    sender = hop.sender_address or Address.NULL
    report = await Walk(hop, opening, whom, letter, sender).to_the_end()
    last = report.findings[-1]
    if hop.tls is not Tls.OPPORTUNISTIC or last.is_good or last.step is not Step.TLS:
        return report
    clear = await _walked(transport, replace(hop, tls=Tls.NONE), whom, letter)
    warned = replace(last, is_good=True, hint=_IN_THE_CLEAR)
    return Report((*report.findings[:-1], warned, *clear.findings), clear.verdict)


def _words(found: Destination) -> str:
    policy = "no MTA-STS policy" if found.policy is None else f"MTA-STS: {found.policy.mode.value}"
    return f"mail for {found.domain} goes to {', '.join(found.hosts[:MOST_HOSTS])}; {policy}"


def _ended(finding: Finding) -> Report:
    return Report((finding,), f"It failed at {finding.step.value}: {finding.detail}")
