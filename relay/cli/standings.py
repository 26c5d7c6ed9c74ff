"""How an upstream stands now, and its limits, as `relay upstream list` and `show` tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relay.cli import stopping
from relay.cli.printing import moment, size
from relay.cli.shown import Cell, Tone
from relay.queue.stops import Stop, Stops
from relay.routing.limits import Limits
from relay.routing.standing import Shut, Stand, State, why_shut
from relay.routing.upstreams import Upstream

_TONES = {State.WORKS: Tone.GOOD, State.DOWN: Tone.BAD, State.OFF: Tone.BAD}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the processes that live say of an upstream, what that comes to, and what an operator stopped."""

    stands: Sequence[Stand]
    shut: Shut | None
    stop: Stop | None

    @property
    def state(self) -> State:
        """In one word."""
        return State.WORKS if self.shut is None else self.shut.why

    @property
    def trouble(self) -> str | None:
        """What keeps mail from it, in a sentence; None: nothing does."""
        if self.stop is not None:
            return self.stop.sentence
        return None if self.shut is None else self.shut.sentence

    @property
    def cell(self) -> Cell:
        """In a table."""
        if self.stop is not None:
            return Cell("stopped" if self.shut is None else f"{self.state.value}, stopped", Tone.BAD)
        return Cell(self.state.value, _TONES.get(self.state, Tone.DOUBTFUL))

    @property
    def rows(self) -> tuple[tuple[str, str | Cell | None], ...]:
        """One a line: state, since when, what is done next, the last error, and for which processes."""
        if self.shut is None or self.state is State.OFF:
            return (("state", self.cell), *self._stopped, *self._slowed)
        those = [stand for stand in self.stands if stand.until == self.shut.until]
        next_what = "next probe" if self.state in {State.DOWN, State.PROBING} else "goes on"
        return (
            ("state", self.cell),
            *self._stopped,
            ("", self.shut.sentence),
            ("since", moment(min(stand.since for stand in those)) if those else None),
            (next_what, moment(self.shut.until)),
            *self._slowed,
        )

    @property
    def _stopped(self) -> tuple[tuple[str, Cell], ...]:
        return () if self.stop is None else (("", stopping.line(self.stop)),)

    @property
    def _slowed(self) -> tuple[tuple[str, str | Cell | None], ...]:
        given = [stand.slowed_to for stand in self.stands if stand.slowed_to is not None]
        if not given:
            return ()
        least = min(given)
        words = f"{least:.1f} connections" if least >= 1 else f"one message in {1 / least:.0f} s"
        return (("slowed down to", Cell(f"{words} of each process, since it asked for less", Tone.DOUBTFUL)),)

    @property
    def document(self) -> dict[str, Any]:
        """As --json shows it."""
        return {
            "state": self.state,
            "until": self.shut.until if self.shut else None,
            "sentence": self.shut.sentence if self.shut else None,
            "stop": stopping.document(self.stop) if self.stop else None,
            "processes": [
                {
                    "owner": stand.owner,
                    "state": stand.state,
                    "since": stand.since,
                    "until": stand.until,
                    "reason": stand.reason,
                    "slowed_to": stand.slowed_to,
                }
                for stand in self.stands
            ],
        }


def standing(upstream: Upstream, stands: Sequence[Stand], stops: Stops, now: datetime) -> Standing:
    """How *upstream* stands."""
    return Standing(stands, why_shut(upstream, stands, now), stops.of(upstream_id=upstream.id))


def limits_shown(limits: Limits) -> tuple[tuple[str, str], ...]:
    """Those limits that are set, in words."""
    told = (
        ("at most", "\n".join(map(str, limits.quotas))),
        ("batches", f"{limits.batch} messages, then {limits.pause} s of rest" if limits.batch else ""),
        ("beyond that", _beyond(limits) if limits.is_metered else ""),
        ("a connection", f"{limits.per_connection} messages" if limits.per_connection else ""),
        ("a transaction", f"{limits.recipients} recipients" if limits.recipients else ""),
        ("a message", f"at most {size(limits.octets)}" if limits.octets else ""),
    )
    return tuple((what, words) for what, words in told if words)


def _beyond(limits: Limits) -> str:
    return "mail goes to the next upstream of its route" if limits.overflows else "mail waits"
