"""The line before an upstream: who waits for it, and who is next."""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import datetime
from itertools import count

from relay.delivery.hands import Held
from relay.mail.priority import Priority

_Place = tuple[datetime, int, Held]  # the most urgent first, of equals the one that came first

MOST_ASIDE = 1000


class Line:
    """Deliveries in the order of their rank.

    So many of one destination as the line is asked for go at a time; the others of it step aside until
    one of those is done, and let pass whoever goes elsewhere.  A destination that is slow thereby keeps
    nobody waiting but its own mail.  Where it is no matter where one goes, its destination is "".
    """

    def __init__(self) -> None:
        self._ready: list[_Place] = []  # a heap
        self._aside: dict[str, list[_Place]] = {}  # heaps, by destination
        self._going = Counter[str]()
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._ready) + self.aside if self._aside else len(self._ready)

    @property
    def ready(self) -> int:
        """How many wait for nothing but a free slot, as far as is known."""
        return len(self._ready)

    @property
    def aside(self) -> int:
        """How many wait for others of their destination."""
        return sum(map(len, self._aside.values())) if self._aside else 0

    def put(self, held: Held) -> None:
        """Let *held* stand in line."""
        heapq.heappush(self._ready, (held.claimed.rank_at, next(self._arrivals), held))

    def first(self, at_most: int) -> Held | None:
        """The most urgent that may go, if *at_most* of one destination go at a time.

        Level 1 has a place of its own besides, as it has in the lane.
        """
        while self._ready:
            held = self._ready[0][2]
            if not (to := held.destination):
                return held
            if self._going[to] < at_most + (held.claimed.priority is Priority.VERY_HIGH):
                return held
            heapq.heappush(self._aside.setdefault(to, []), heapq.heappop(self._ready))
        return None

    def leave(self) -> Held:
        """Take the first out of the line, as `first` has just named it."""
        return heapq.heappop(self._ready)[2]

    def go(self) -> Held:
        """Let the first go; `done` is to be said of it."""
        held = heapq.heappop(self._ready)[2]
        if held.destination:
            self._going[held.destination] += 1
        return held

    def done(self, to: str) -> None:
        """The turn of one that went there is over: others of that destination may be next."""
        if not to:
            return
        self._going[to] -= 1
        if not self._going[to]:
            del self._going[to]
        waiting = self._aside.pop(to, [])
        for _ in range(min(len(waiting), 2)):  # for its place, and for another if there are more by now
            heapq.heappush(self._ready, heapq.heappop(waiting))
        if waiting:
            self._aside[to] = waiting

    def shed(self, number: int) -> list[Held]:
        """Take the *number* least urgent out of the line."""
        everybody = self.empty()
        staying = max(len(everybody) - number, 0)
        for held in everybody[:staying]:
            self.put(held)
        return everybody[staying:]

    def empty(self) -> list[Held]:
        """Take everybody out of the line, the most urgent first."""
        everybody = sorted([*self._ready, *(place for those in self._aside.values() for place in those)])
        self._ready, self._aside = [], {}
        return [held for _, _, held in everybody]
