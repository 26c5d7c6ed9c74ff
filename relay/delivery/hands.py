"""What this process has in its hands: every delivery that it holds the lease of, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from relay.queue.claim import LEASE
from relay.queue.handover import HandOver
from relay.queue.items import Claimed


@dataclass(slots=True, eq=False)
class Held:
    """A delivery in our hands.

    `is_hot`: it came from the door in, which keeps its place and its octets counted; else `octets`
    are those of its content that we took from the budget ourselves.  `passed_by` are the upstreams, by
    id, that it was passed on from this time because of what they said; to those in `unfit_for` it is no use
    to come back.  `destination` is the domain that it goes to, where its lane leads to each domain's own
    servers.
    """

    claimed: Claimed
    is_hot: bool
    until: datetime
    octets: int = 0
    is_lost: bool = False
    passed_by: frozenset[str] = frozenset()
    unfit_for: frozenset[str] = frozenset()
    destination: str = ""


class Hands:
    """Keeps count of what is held, so that leases are renewed and memory stays bounded."""

    def __init__(self, handover: HandOver) -> None:
        self._handover = handover
        self._held: set[Held] = set()

    def __len__(self) -> int:
        return len(self._held)

    def take_hot(self, claimed: Claimed) -> Held:
        """Hold what the door in handed over."""
        held = Held(claimed, is_hot=True, until=claimed.lease.until)
        self._held.add(held)
        return held

    def take(self, claimed: Claimed) -> Held:
        """Hold what was claimed from the table; its content only if the budget has room for it."""
        octets = len(claimed.content or b"")
        if octets and not self._handover.budget.take(octets):
            claimed, octets = claimed._replace(content=None), 0
        held = Held(claimed, is_hot=False, until=claimed.lease.until, octets=octets)
        self._held.add(held)
        return held

    def let_go(self, held: Held) -> None:
        """It is settled, or given back."""
        if held not in self._held:
            return
        self._held.remove(held)
        if held.is_hot:
            self._handover.done(held.claimed)
        else:
            self._handover.budget.give_back(held.octets)

    def expiring(self, now: datetime) -> list[Held]:
        """Those whose lease must be renewed: half of it is over."""
        soon = now + LEASE / 2
        return [held for held in self._held if held.until < soon and not held.is_lost]
