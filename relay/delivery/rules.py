"""What is in force at one moment, for whoever concludes an attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from relay.current import Current
from relay.delivery.stationery import PLAIN, Stationery
from relay.mail.envelope import Envelope
from relay.routing.routes import NoRoute, RoutingTable, plan
from relay.settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings, routes and stationery as they are now, our name, and where ids and chance come from."""

    settings: Settings
    routing: RoutingTable
    hostname: str
    new_id: Callable[[datetime], str]
    rng: Random
    stationery: Stationery = PLAIN

    def way_for(
        self, envelope: Envelope, user_id: str | None, otherwise: str
    ) -> Mapping[str, tuple[int, ...]]:
        """By which routes a letter of our own goes; by route *otherwise* if none is meant for it."""
        try:
            return plan(self.routing, envelope, user_id)
        except NoRoute:
            return {otherwise: tuple(recipient.number for recipient in envelope.recipients)}


class InForce:
    """The rules of the moment, made anew only when one of the snapshots behind them was replaced."""

    def __init__(
        self,
        settings: Current[Settings],
        routing: Current[RoutingTable],
        stationery: Current[Stationery],
        *,
        hostname: str,
        new_id: Callable[[datetime], str],
        rng: Random,
    ) -> None:
        self._settings = settings
        self._routing = routing
        self._stationery = stationery
        self._rules = Rules(settings.value, routing.value, hostname, new_id, rng, stationery.value)

    def __call__(self) -> Rules:
        """Return the rules in force now."""
        settings, routing, stationery = self._settings.value, self._routing.value, self._stationery.value
        last = self._rules
        if last.settings is settings and last.routing is routing and last.stationery is stationery:
            return last
        self._rules = Rules(settings, routing, last.hostname, last.new_id, last.rng, stationery)
        return self._rules
