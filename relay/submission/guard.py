"""Against guessing: failures are counted by address, network and name, and too many bar the way.

Counted in memory, by each process for itself, and never more than MOST entries.  An entry that has
rested for the lockout is forgotten; one at its limit bars the way until then, in all processes (see
`bars`).  Nothing here waits or asks the database: `doorkeeper` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from relay.accounts.profile import MAX_NAME_LENGTH, folded_name
from relay.mail.neighbours import household, neighbourhood
from relay.settings import Settings

MOST = 50_000
_FREE_FAILURES = 2  # a mistyped password, and the same again
_MOST_DOUBLINGS = 4


class By(Enum):
    """What failures are counted by."""

    ADDRESS = "address"
    NETWORK = "network"
    NAME = "name"
    NAME_AT_ADDRESS = "name at address"


class Source(NamedTuple):
    """One counter: the kind, and the address, network or name."""

    by: By
    text: str


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Guard:
    """The counters of one process."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._counted: dict[Source, _Failures] = {}
        self._adopted: Mapping[Source, float] = {}  # what others bar, until when

    def adopt(self, bars: Mapping[Source, float]) -> None:
        """Bar these sources, too, each for so many seconds, and none that was adopted before."""
        now = self._ticks()
        self._adopted = {source: now + seconds for source, seconds in bars.items()}

    def __len__(self) -> int:
        """How many counters there are."""
        return len(self._counted)

    def bars(self, name: str, address: str, settings: Settings) -> list[By]:
        """Return by what the way is barred; usually by nothing."""
        if not self._counted and not self._adopted:
            return []
        now, lockout = self._ticks(), settings.login_lockout.total_seconds()
        found = []
        for source in _sources(name, address):
            entry = self._counted.get(source)
            has_reached = entry is not None and entry.count >= _limit(source.by, settings)
            until = entry.last + lockout if entry is not None and has_reached else 0.0
            if now < max(until, self._adopted.get(source, 0.0)):
                found.append(source.by)
        return found

    def failed(self, name: str, address: str, settings: Settings) -> tuple[float, list[Source]]:
        """Count a failure.

        Return for how many seconds the answer is to be kept back, and what reached its limit by it.
        """
        now, lockout = self._ticks(), settings.login_lockout.total_seconds()
        most, reached = 0, []
        for source in _sources(name, address):
            entry = self._counted.pop(source, None)
            if entry is None or now >= entry.last + lockout:
                entry = _Failures(0, now)
            entry.count, entry.last = entry.count + 1, now
            self._counted[source] = entry  # at the end: the longest at rest stand first
            if entry.count == _limit(source.by, settings):
                reached.append(source)
            if source.by is not By.NETWORK:
                most = max(most, entry.count)
        while len(self._counted) > MOST:
            del self._counted[next(iter(self._counted))]
        return _delay(most, settings.login_failure_delay.total_seconds()), reached

    def succeeded(self, name: str, address: str) -> None:
        """Whoever knows the password had only mistyped it."""
        if self._counted:
            self._counted.pop(_name_at_address(counted_as(name), address), None)


def _delay(failures: int, first: float) -> float:
    beyond = failures - _FREE_FAILURES
    return 0.0 if beyond <= 0 else first * 2 ** min(beyond - 1, _MOST_DOUBLINGS)


def _limit(by: By, settings: Settings) -> int:
    match by:
        case By.ADDRESS:
            return settings.login_failures_per_address
        case By.NETWORK:
            return settings.login_failures_per_network
        case By.NAME | By.NAME_AT_ADDRESS:
            return settings.login_failures_per_user


def _sources(name: str, address: str) -> tuple[Source, ...]:
    """What an attempt is counted by; who names nobody (a token does, then) is known by its address alone."""
    if not name:
        return (Source(By.ADDRESS, address), Source(By.NETWORK, network_of(address)))
    name = counted_as(name)
    return (
        _name_at_address(name, address),
        Source(By.ADDRESS, address),
        Source(By.NETWORK, network_of(address)),
        Source(By.NAME, name),
    )


def _name_at_address(name: str, address: str) -> Source:
    """What alone counts where the user is known: a fresh address of IPv6 makes nobody a stranger again."""
    return Source(By.NAME_AT_ADDRESS, f"{name} {household_of(address)}")


def counted_as(name: str) -> str:
    """What attempts under *name* are counted by, of which nobody makes too much."""
    return folded_name(name)[:MAX_NAME_LENGTH]


network_of = lru_cache(maxsize=4096)(neighbourhood)
household_of = lru_cache(maxsize=4096)(household)
