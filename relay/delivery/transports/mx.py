"""Direct delivery: the way to each domain's own servers, as DNS names them (RFC 5321 §5).

A connection leads to one destination, the domain of its recipients; what is wrong there is the
trouble of those recipients alone.  TLS is as good as the other side can (RFC 7435), unless the
domain's MTA-STS policy, or the operator, demands more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from random import Random, SystemRandom

from relay.clock import Clock, SystemClock
from relay.delivery.classify import Scope, Step, Trouble
from relay.delivery.classify_dns import cannot_ask, no_usable_exchanger, not_of_policy, of_host
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.resolver import CannotAsk, NoSuchName, Resolver
from relay.delivery.transports.avoided import Avoided
from relay.delivery.transports.exchangers import exchangers_of
from relay.delivery.transports.pipeline import Pipeline
from relay.delivery.transports.policies import HTTPS_PORT, Policies
from relay.delivery.transports.smtp import Opening
from relay.delivery.transports.trust import Trust
from relay.mail.mta_sts import Policy
from relay.routing.upstreams import Kind, Tls, Upstream

MOST_HOSTS = 5  # that are tried at once for one message: each may take its whole time to fail


@dataclass(frozen=True, slots=True)
class Destination:
    """A domain, the hosts that take its mail, best first, and what it demands of who brings it."""

    domain: str
    hosts: Sequence[str]
    policy: Policy | None = None

    @property
    def is_policed(self) -> bool:
        """Whether mail goes there by verified TLS or not at all."""
        return self.policy is not None and self.policy.is_enforced


class Mx:
    """How to reach the servers of all domains; remembers which could not be reached."""

    def __init__(
        self,
        upstream: Upstream,
        hostname: str,
        tokens: TokenSource,
        *,
        clock: Clock | None = None,
        rng: Random | None = None,
        https_port: int = HTTPS_PORT,
    ) -> None:
        clock, self._rng = clock or SystemClock(), rng or SystemRandom()
        self.upstream = upstream
        self._hostname = hostname
        self._tokens = tokens
        self._resolver = Resolver(upstream.options.name_server)
        self._verifying = Trust(replace(upstream, verify_tls=True))
        pinned = upstream.pinned_ca if upstream.tls is Tls.STARTTLS else None
        self._encrypting = Trust(replace(upstream, verify_tls=False, pinned_ca=pinned))
        self._policies = Policies(self._resolver, self._verifying, clock, port=https_port)
        self._avoided = Avoided(clock, self._rng)

    async def connect(self, destination: str = "") -> Pipeline:
        """Open a connection to the first host of *destination* that can be reached.

        Raises Trouble; without any name server to ask, it is that of the upstream as a whole.
        """
        try:
            found = await self.look_up(destination)
        except Trouble as fault:
            if isinstance(fault.__cause__, CannotAsk) and await self._resolver.is_out():
                raise Trouble(fault.reply, Scope.UPSTREAM, fault.step) from fault
            raise
        trouble, tried = no_usable_exchanger(destination), 0
        for host in found.hosts:
            if (reply := self._avoided.why(host)) is not None:
                trouble = Trouble(reply, Scope.MESSAGE, Step.CONNECT)
                continue
            if tried == MOST_HOSTS:
                break
            tried += 1
            try:
                return await self._reach(host, found)
            except Trouble as fault:
                trouble = fault
        raise trouble

    async def look_up(self, domain: str) -> Destination:
        """Who takes mail for *domain*, and how it must be brought.  Raises Trouble."""
        hosts = await exchangers_of(domain, self._resolver, own_name=self._hostname.lower(), rng=self._rng)
        if self.upstream.tls is Tls.NONE or domain.startswith("["):
            return Destination(domain, hosts)
        policy = await self._policies.of(domain)
        if policy is not None and policy.is_enforced:
            hosts = [host for host in hosts if policy.names(host)]
            if not hosts:
                raise not_of_policy(domain)
        return Destination(domain, hosts, policy)

    def hop(self, host: str, destination: Destination) -> Upstream:
        """*host* as an upstream of its own, secured as it must be."""
        tls, is_verified = self.upstream.tls, self.upstream.verify_tls and self.upstream.tls is Tls.STARTTLS
        if destination.is_policed:
            tls, is_verified = Tls.STARTTLS, True
        return replace(self.upstream, kind=Kind.SMTP, host=host, tls=tls, verify_tls=is_verified)

    async def opening(self, hop: Upstream) -> Opening:
        """A connection to a host that is yet to be opened.  Raises Trouble if DNS does not know the host."""
        trust = self._verifying if hop.verify_tls else self._encrypting
        return Opening(hop, self._hostname, trust, self._tokens, await self._addresses(hop.host))

    async def _reach(self, host: str, destination: Destination) -> Pipeline:
        hop = self.hop(host, destination)
        try:
            pipeline = await self._opened(hop)
        except Trouble as trouble:
            told = of_host(trouble, host, enforced_by=destination.domain if destination.is_policed else "")
            if trouble.step is not Step.TLS:
                self._avoided.failed(host, told.reply)
            raise told from trouble
        self._avoided.reached(host)
        if not destination.is_policed:
            # Only a policy vouches for the host's name, which DNS alone does not (RFC 8689 §4.2.1).
            pipeline.offers = replace(pipeline.offers, require_tls=False)
        return pipeline

    async def _opened(self, hop: Upstream) -> Pipeline:
        """Connect; where TLS only would have been good to have, once more without it.  Raises Trouble."""
        try:
            return await (await self.opening(hop)).to_the_end()
        except Trouble as trouble:
            if trouble.step is not Step.TLS or hop.tls is not Tls.OPPORTUNISTIC:
                raise
        return await (await self.opening(replace(hop, tls=Tls.NONE))).to_the_end()

    async def _addresses(self, host: str) -> Sequence[str]:
        try:
            return (str(ip_address(host)),)  # an address literal: see `exchangers_of`
        except ValueError:
            pass
        try:
            found = await self._resolver.addresses(host)
        except NoSuchName:
            found = []
        except CannotAsk as fault:
            raise cannot_ask(str(fault)) from fault
        if not found:
            raise no_usable_exchanger(host)
        return found
