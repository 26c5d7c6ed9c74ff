"""Refusals on their way to the table of events: aside from the hot path, and never more than so many.

Of the same refusal (source, user, rule, words) the first is kept at once, and how often it came again
when its minute is over.  A source has at most `_OF_ONE_SOURCE` different ones a minute, all sources
together as many as `_MOST` has of a kind; what goes beyond is only counted.  So nobody fills the disk by
being refused, and strangers whose sessions end leave room for what our users ask about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay import log
from relay.clock import Clock
from relay.db.database import Database
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.queue.events import Event, record_events

SESSION, MESSAGE = "session", "message"  # the kinds of what was refused
_EVERY = timedelta(seconds=2)
_OF_ONE_SOURCE = 10
_MOST = {MESSAGE: 200, SESSION: 50}

_Source = tuple[str, str | None]
_Key = tuple[_Source, str, str]
_OTHERS: _Key = (("", None), "others", "")


@dataclass(slots=True)
class _Tally:
    event: Event
    again: int = 0


class Refusals:
    """Collects what one process refuses, and writes it now and then."""

    def __init__(self, db: Database, clock: Clock, new_id: Callable[[datetime], str]) -> None:
        self._db = db
        self._clock = clock
        self._new_id = new_id
        self._minute: datetime | None = None
        self._tallies: dict[_Key, _Tally] = {}
        self._by_source: Counter[_Source] = Counter()
        self._by_kind: Counter[str] = Counter()
        self._pending: list[Event] = []

    def note(self, facts: Session, *, kind: str, rule: str, reply: Reply, sender: str = "") -> None:
        """Something was refused to the client of whom *facts* tell."""
        now = self._clock.now()
        self._turn_to(now.replace(second=0, microsecond=0))
        key = self._key(facts, kind, rule, reply)
        if (tally := self._tallies.get(key)) is not None:
            tally.again += 1
            return
        event = Event(
            id=self._new_id(now),
            at=now,
            kind=kind,
            user_name=facts.user,
            peer_address=facts.peer_address[:64],
            rule=rule[:64],
            reply=str(reply)[:1000],
            facts=_facts(facts, sender),
        )
        if key == _OTHERS:
            event = replace(
                event, user_name=None, peer_address=None, rule="others", reply="", facts={"times": 1}
            )
        self._by_source[key[0]] += 1
        self._by_kind[kind] += 1
        self._tallies[key] = _Tally(event)
        self._pending.append(event)

    async def run(self) -> None:
        """Write what was refused, again and again; at the end, what is left."""
        try:
            while True:
                await self._clock.sleep(_EVERY)
                self._turn_to(self._clock.now().replace(second=0, microsecond=0))
                await self.flush()
        finally:
            self._turn_to(None)
            await self.flush()

    async def flush(self) -> None:
        """Write what is there now; what cannot be written is lost, for mail goes on."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            await self._db.write(record_events, pending)
        except Exception as fault:  # noqa: BLE001  an event is not worth more than a line in the log
            log.fault("events", fault)

    def _key(self, facts: Session, kind: str, rule: str, reply: Reply) -> _Key:
        """What this refusal is counted under: the coarser, the more there is of them."""
        source = (facts.peer_address, facts.user)
        has_room = self._by_kind[kind] < _MOST[kind]
        for words, most in ((reply.text, _OF_ONE_SOURCE), ("", 2 * _OF_ONE_SOURCE)):
            key = (source, rule, words)
            if key in self._tallies or (has_room and self._by_source[source] < most):
                return key
        return _OTHERS

    def _turn_to(self, minute: datetime | None) -> None:
        """A new minute: of what came again in the last one, say how often."""
        if minute == self._minute:
            return
        for tally in self._tallies.values():
            if tally.again:
                event = tally.event
                again = replace(event, id=self._new_id(event.at), facts={**event.facts, "times": tally.again})
                self._pending.append(again)
        self._minute = minute
        self._tallies.clear()
        self._by_source.clear()
        self._by_kind.clear()


def _facts(session: Session, sender: str) -> dict[str, str | int]:
    known = {
        "session": session.id,
        "listener": session.listener,
        "helo": session.helo[:255],
        "sender": sender,
    }
    return {"times": 1, **{name: fact for name, fact in known.items() if fact}}
