"""The queue's promises, whatever happens in whatever order: two processes, an operator, and time.

Nothing is lost; nothing is in two hands by right; nothing is delivered twice unless a lease was lost
(law 4); what came to an end stays at that end; a content is there exactly as long as it is needed.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from relay.db.engine import read_with
from relay.db.tables import contents, deliveries, messages, recipients
from relay.delivery.failing import FailNow, fail_now
from relay.mail.priority import Priority
from relay.queue import control
from relay.queue.browse import Counts, counts
from relay.queue.items import DeliveryKey
from relay.queue.janitor import has_due
from relay.queue.orders import affected
from relay.queue.selection import Selection
from relay.queue.states import ACTIVE, RESTING, DeliveryState, RecipientState
from relay.settings import Settings
from tests.kit.makers import (
    ROUTE,
)
from tests.queue.model import OTHER_ROUTE, RULES, USER, Right, TwoProcesses, picks, priorities
from tests.queue.steps import run


class QueueKeepsItsPromises(TwoProcesses):
    """What an operator can do beside two processes, and what must hold all the while."""

    # --- the operator -----------------------------------------------------------------------------

    @rule(pick=picks, priority=priorities)
    def prioritise(self, *, pick: int, priority: Priority) -> None:
        """Its place among others changes, and nothing else does."""
        one = Selection(message_ids=(self.accepted[pick % len(self.accepted)],))
        order = control.Prioritise(one, priority, Settings())
        expected = read_with(self.engine, affected, order).deliveries
        assert run(self.engine, control.prioritise, order) == [sum(expected.values())]
        assert read_with(self.engine, affected, order).deliveries == {}

    @rule(pick=picks, to=st.sampled_from([ROUTE, OTHER_ROUTE]))
    def reroute(self, *, pick: int, to: str) -> None:
        order = control.Reroute(Selection(message_ids=(self.accepted[pick % len(self.accepted)],)), to)
        run(self.engine, control.reroute, order)
        assert read_with(self.engine, affected, order).deliveries == {}

    @rule(pick=picks)
    def fail_now(self, *, pick: int) -> None:
        """Failed are those in nobody's hands; each attempt of an operator counts as one that began."""
        message_id = self.accepted[pick % len(self.accepted)]
        resting = [
            DeliveryKey(row.message_id, row.part)
            for row in self.rows(deliveries)
            if row.message_id == message_id and row.state in RESTING
        ]
        order = FailNow(Selection(message_ids=(message_id,)), self.now, "called off", RULES)
        (given_up,) = run(self.engine, fail_now, order)
        assert given_up.deliveries == len(resting)
        for row in self.rows(deliveries):
            if (key := DeliveryKey(row.message_id, row.part)) in resting:
                # None began for what late settlements had brought to its end already.
                assert row.attempts - self.begun.get(key, 0) in {0, 1}
                self.begun[key] = row.attempts
        reports = [row.id for row in self.rows(messages.c.id, messages.c.origin) if row.origin == "bounce"]
        self.accepted += [report for report in reports if report not in self.accepted]

    @rule(is_stopped=st.booleans())
    def stop(self, *, is_stopped: bool) -> None:
        """While its user is stopped, no claim takes a delivery of that user."""
        self.stopped = (USER,) if is_stopped else ()

    @rule(
        order=st.sampled_from(["hold", "release", "release", "retry", "cancel"]),
        pick=picks,
        to=st.sampled_from([None, "r0@example.net"]),
    )
    def operate(self, *, order: str, pick: int, to: str | None) -> None:
        """What is ordered for one recipient concerns nobody else; whoever is split off keeps the tries."""
        one = Selection(message_ids=(self.accepted[pick % len(self.accepted)],), recipient=to)
        before = self.standings()
        match order:
            case "hold":
                run(self.engine, control.hold, control.Hold(one, "look at it"))
            case "release":
                run(self.engine, control.release_held, control.ReleaseHeld(Selection(), self.now))
            case "retry":
                run(self.engine, control.retry_now, control.RetryNow(Selection(), self.now, Settings()))
            case "cancel":
                run(self.engine, control.cancel, control.Cancel(one, self.now, "cancelled"))
        for number, (address, key, standing) in self.standings().items():
            _, old, stood = before[number]
            if key != old:
                assert address == to
                self.begun[key] = self.begun.get(old, 0)
                self.rights_lost |= {key} if old in self.rights_lost else set()
            elif to is not None and address != to and order in {"hold", "cancel"}:
                assert standing == stood

    def standings(self) -> dict[tuple[str, int], tuple[str, DeliveryKey, DeliveryState]]:
        """Of each recipient that has no end yet the address, the delivery, and how that stands."""
        of, people = deliveries.c, recipients.c
        standing = {row[:2]: row[2] for row in self.rows(of.message_id, of.part, of.state)}
        return {
            (message_id, number): (address, DeliveryKey(message_id, part), standing[message_id, part])
            for message_id, number, address, part, state in self.rows(
                people.message_id, people.number, people.address, people.part, people.state
            )
            if state is RecipientState.OPEN
        }

    # --- what must hold ---------------------------------------------------------------------------

    def rows(self, *columns: Any) -> list[Any]:
        with self.engine.connect() as tx:
            return list(tx.execute(select(*columns)))

    @invariant()
    def every_recipient_is_accounted_for(self) -> None:
        table, people = deliveries.c, recipients.c
        standing = {
            (message_id, part): state
            for message_id, part, state in self.rows(table.message_id, table.part, table.state)
        }
        found = self.rows(people.message_id, people.number, people.part, people.state)
        assert {row.message_id for row in found} == set(self.accepted)
        for message_id, number, part, state in found:
            if state is RecipientState.OPEN:
                assert standing[message_id, part] in ACTIVE, "it is open, but its delivery is done"
                assert (message_id, number) not in self.ends, "it had its end, and is open again"
            else:
                end = self.ends.setdefault((message_id, number), state)
                assert end is state, "its end has changed"
        self.contents_are_kept_as_long_as_they_are_needed(standing)
        self.counts_are_right(list(standing.values()))

    def contents_are_kept_as_long_as_they_are_needed(
        self, standing: dict[tuple[str, int], DeliveryState]
    ) -> None:
        needed = {message_id for (message_id, _), state in standing.items() if state in ACTIVE}
        assert {row.message_id for row in self.rows(contents.c.message_id)} == needed

    def counts_are_right(self, standing: list[DeliveryState]) -> None:
        assert read_with(self.engine, counts) == Counts(
            queued=standing.count(DeliveryState.QUEUED),
            waiting=standing.count(DeliveryState.WAITING),
            leased=standing.count(DeliveryState.LEASED),
            held=standing.count(DeliveryState.HELD),
        )

    @invariant()
    def what_is_leased_is_in_the_hands_of_one_by_right(self) -> None:
        table = deliveries.c
        leased = {
            DeliveryKey(row.message_id, row.part): Right(row.leased_by, row.attempts, row.leased_until)
            for row in self.rows(deliveries)
            if row.state is DeliveryState.LEASED
        }
        assert leased == self.rights
        for state, owner in self.rows(table.state, table.leased_by):
            assert (state is DeliveryState.LEASED) == (owner is not None)
        in_hand = [claimed.key for claimed in self.hands if self.has_right(claimed)]
        assert sorted(in_hand) == sorted(self.rights)

    @invariant()
    def there_is_something_to_do_only_for_what_is_over(self) -> None:
        over = [
            row
            for row in self.rows(deliveries)
            if (row.state is DeliveryState.WAITING and row.due_at <= self.now)
            or (row.state is DeliveryState.LEASED and row.leased_until <= self.now)
            or (row.state in ACTIVE and row.state is not DeliveryState.LEASED and row.expires_at <= self.now)
        ]
        assert read_with(self.engine, has_due, self.now) == bool(over)


def test_the_queue_keeps_its_promises(migrated_file: Path, tmp_path: Path) -> None:
    numbers = count()

    class OnFilesOfThisTest(QueueKeepsItsPromises):
        def __init__(self) -> None:
            super().__init__(migrated_file, tmp_path / f"{next(numbers)}.db")

    run_state_machine_as_test(
        OnFilesOfThisTest,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
