"""The MTA-STS policies of the domains that mail goes to: fetched from them, and kept (RFC 8461 §3.3).

They are kept in the memory of this process only.  So the first message after a start believes what
DNS and the network say then; a domain's policy protects all that follow.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from relay.clock import Clock
from relay.delivery.resolver import CannotAsk, NoSuchName, Resolver
from relay.delivery.transports.trust import Trust
from relay.mail.mta_sts import MOST_OCTETS, BadPolicy, Policy, parse_policy, policy_id
from relay.places import host_and_port

HTTPS_PORT = 443
_SECONDS = 20.0  # for a policy as a whole: mail waits for it
_AGAIN_AFTER = timedelta(minutes=5)  # one that could not be had
_MOST_KEPT = 10_000
_NEVER = datetime.min.replace(tzinfo=UTC)


class CannotFetch(Exception):
    """A policy that a domain says it has cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class _Kept:
    policy: Policy | None = None
    identity: str = ""
    until: datetime = _NEVER
    not_before: datetime = _NEVER  # it is asked for again, after it could not be had

    def in_force(self, now: datetime) -> Policy | None:
        return self.policy if now < self.until else None


class Policies:
    """Knows the policy of each domain, asking for it where the domain says that there is a new one."""

    def __init__(self, resolver: Resolver, trust: Trust, clock: Clock, *, port: int = HTTPS_PORT) -> None:
        self._resolver = resolver
        self._trust = trust
        self._clock = clock
        self._port = port
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, domain: str) -> Policy | None:
        """The policy that mail for *domain* goes by now, if there is one.

        What was fetched holds until it is too old, also if DNS or the domain's web server keep silent
        then: whoever stands between could make them (RFC 8461 §5.1, §10.2).
        """
        now, kept = self._clock.now(), self._kept.get(domain, _Kept())
        identity = await self._identity(domain)
        policy = kept.in_force(now)
        if identity is None or (policy and identity == kept.identity) or now < kept.not_before:
            return policy
        try:
            fresh = await self._fetched(domain)
        except CannotFetch:
            self._keep(domain, replace(kept, not_before=now + _AGAIN_AFTER))
            return policy
        self._keep(domain, _Kept(fresh, identity, now + fresh.max_age))
        return fresh

    async def _identity(self, domain: str) -> str | None:
        try:
            return policy_id(await self._resolver.texts(f"_mta-sts.{domain}"))
        except (NoSuchName, CannotAsk):
            return None

    def _keep(self, domain: str, kept: _Kept) -> None:
        self._kept[domain] = kept
        self._kept.move_to_end(domain)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    async def _fetched(self, domain: str) -> Policy:
        """The policy as the domain publishes it.  Raises CannotFetch."""
        import httpx2  # noqa: PLC0415  only where there is a policy: it takes time and memory

        try:
            async with asyncio.timeout(_SECONDS):
                octets = await self._asked(f"mta-sts.{domain}")
            return parse_policy(octets)
        except (httpx2.HTTPError, OSError, NoSuchName, BadPolicy, ssl.SSLError) as fault:
            raise CannotFetch(str(fault)) from fault

    async def _asked(self, host: str) -> bytes:
        """What the web server *host* says; it must prove its name, and redirects are not followed."""
        import httpx2  # noqa: PLC0415  see `_fetched`

        addresses = await self._resolver.addresses(host)
        if not addresses:
            raise CannotFetch(f"{host} has no address")
        url = f"https://{host_and_port(addresses[0], self._port)}/.well-known/mta-sts.txt"
        # By address, so that nobody but our own resolver is asked for it; the certificate is the name's.
        headers, name_of_it = {"Host": host}, {"sni_hostname": host}
        async with (
            httpx2.AsyncClient(verify=await self._trust(), timeout=_SECONDS, trust_env=False) as client,
            client.stream("GET", url, headers=headers, extensions=name_of_it) as answer,
        ):
            if answer.status_code != 200:
                raise CannotFetch(f"{host} answered {answer.status_code}")
            if not answer.headers.get("content-type", "").lower().startswith("text/plain"):
                raise CannotFetch(f"what {host} publishes is no plain text")  # RFC 8461 §3.2
            octets = bytearray()
            async for piece in answer.aiter_bytes():
                octets += piece
                if len(octets) > MOST_OCTETS:
                    raise CannotFetch(f"what {host} publishes is too long for a policy")
            return bytes(octets)
