"""The queue's promises, whatever happens in whatever order: two processes, an operator, and time.

Nothing is lost; nothing is in two hands by right; nothing is delivered twice unless a lease was lost
(law 4); what came to an end stays at that end; a content is there exactly as long as it is needed.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, insert, select

from relay.db.engine import open_engine, read_with
from relay.db.tables import contents, deliveries, messages, recipients, users
from relay.delivery.failing import FailNow, fail_now
from relay.delivery.rules import Rules
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.queue import control
from relay.queue.browse import Counts, counts
from relay.queue.claim import (
    ClaimOrder,
    Release,
    Renewal,
    TakeBack,
    claim_due,
    due_but_of,
    release,
    renew,
    take_back,
)
from relay.queue.items import Claimed, DeliveryKey, Lease
from relay.queue.janitor import ExpiryOrder, claim_expired, has_due, promote
from relay.queue.orders import affected
from relay.queue.selection import Selection
from relay.queue.states import ACTIVE, RESTING, DeliveryState, RecipientState
from relay.routing.routes import RoutingTable
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import (
    DEFERRED,
    DELIVERED,
    FAILED,
    NO_ROOM,
    ROUTE,
    make_acceptance,
    make_envelope,
    make_session,
    make_settlement,
    new_id,
)
from tests.queue.steps import LEASE, OTHER, OWNER, finish, in_hand, keep, last_parts, run

owners = st.sampled_from([OWNER, OTHER])
answers = st.sampled_from([DELIVERED, DEFERRED, FAILED, NO_ROOM])
picks, priorities = st.integers(0, 20), st.sampled_from(Priority)
fates = st.lists(st.sampled_from(["queued", "queued", "hot", "scheduled", "held"]), min_size=1, max_size=4)

USER, OTHER_ROUTE = "bob", "other"
RULES = Rules(Settings(), RoutingTable(), "relay.example", new_id, Random(1))


class Right(NamedTuple):
    """By which right a process has a delivery in its hands."""

    owner: str
    number: int
    until: datetime


class QueueKeepsItsPromises(RuleBasedStateMachine):
    """What two processes and an operator can do, and what must hold all the while."""

    def __init__(self, empty: Path, path: Path) -> None:
        super().__init__()
        shutil.copy(empty, path)
        self.engine = open_engine(f"sqlite:///{path}")
        event.listen(self.engine, "connect", lambda made, _: made.execute("PRAGMA synchronous=OFF"))
        self.path = path
        with self.engine.begin() as tx:
            tx.execute(insert(users).values(id=USER, name=USER, created_at=NOON))
        self.now = NOON
        self.stopped: tuple[str, ...] = ()
        self.accepted: list[str] = []
        self.hands: list[Claimed] = []  # of both processes, by right or not any more
        self.rights: dict[DeliveryKey, Right] = {}
        self.begun: dict[DeliveryKey, int] = {}
        self.rights_lost: set[DeliveryKey] = set()
        self.taken_upstream: set[tuple[str, int]] = set()
        self.ends: dict[tuple[str, int], RecipientState] = {}

    def teardown(self) -> None:
        self.engine.dispose()
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()

    # --- the door ---------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.accept(fates=["queued", "queued", "hot"], people=2, per_part=1, priority=Priority.NORMAL)

    @rule(fates=fates, people=st.integers(1, 3), per_part=st.integers(1, 2), priority=priorities)
    def accept(self, *, fates: list[str], people: int, per_part: int, priority: Priority) -> None:
        lease = Lease(OWNER, self.now + LEASE)
        messages = [
            make_acceptance(
                at=self.now,
                envelope=make_envelope(recipients=[f"r{n}@example.net" for n in range(people)]),
                per_part=per_part,
                priority=priority,
                due_at=self.now + timedelta(minutes=5) if fate == "scheduled" else None,
                lease=lease if fate == "hot" else None,
                hold_reason="look at it" if fate == "held" else None,
                lifetime=timedelta(minutes=20),
                session=make_session(user_id=USER if people == 2 else None),  # whose mail may be stopped
            )
            for fate in fates
        ]
        self.accepted += keep(self.engine, *messages)
        for message in messages:
            self.take([in_hand(message, part, lease) for part in message.parts if part.lease])

    # --- the processes ----------------------------------------------------------------------------

    @rule(owner=owners, limit=st.integers(1, 6))
    def claim(self, *, owner: str, limit: int) -> None:
        wanted = {ROUTE: limit, OTHER_ROUTE: limit}
        among = read_with(self.engine, due_but_of, wanted, self.stopped) if self.stopped else None
        (claimed,) = run(self.engine, claim_due, ClaimOrder(owner, self.now, LEASE, wanted, among))
        assert not {one.user_id for one in claimed}.intersection(self.stopped)
        ranks = [one.rank_at for one in claimed]
        assert ranks == sorted(ranks)
        self.take(claimed)

    @rule(owner=owners, limit=st.integers(1, 4))
    def claim_expired(self, *, owner: str, limit: int) -> None:
        (claimed,) = run(self.engine, claim_expired, ExpiryOrder(owner, self.now, LEASE, limit))
        assert all(one.expires_at <= self.now for one in claimed)
        self.take(claimed)

    def take(self, claimed: list[Claimed]) -> None:
        for one in claimed:
            self.begun[one.key] = self.begun.get(one.key, 0) + 1
            assert one.number == self.begun[one.key]
            assert one.key not in self.rights, "it was in somebody's hands"
            assert one.envelope.recipients, "there is nobody to deliver it to"
            assert not {(one.key.message_id, r.number) for r in one.envelope.recipients} & self.ends.keys()
            assert one.content is not None
            self.rights[one.key] = Right(one.lease.owner, one.number, one.lease.until)
        self.hands += claimed

    @precondition(lambda self: self.hands)
    @rule(ends=st.lists(st.tuples(picks, st.lists(answers, min_size=3, max_size=3)), min_size=1, max_size=4))
    def settle(self, *, ends: list[tuple[int, list[Reply]]]) -> None:
        settlements, are_ours, last = [], [], last_parts(self.engine)
        for pick, said in ends[: len(self.hands)]:
            claimed = self.hands.pop(pick % len(self.hands))
            replies = said[: len(claimed.envelope.recipients)]
            self.deliver(claimed, replies)
            settlements.append(
                make_settlement(claimed, *replies, at=self.now, retry_at=self.now + timedelta(minutes=3))
            )
            are_ours.append(self.give_away(claimed))
            message_id, left = claimed.key.message_id, len(settlements[-1].left)
            if left and claimed.key in self.rights_lost:
                # Whoever had it by a lease that was lost may have sent it also to those who go on elsewhere.
                self.rights_lost |= {DeliveryKey(message_id, n + 1) for n in range(last[message_id] + left)}
            for _ in range(left if are_ours[-1] else 0):
                last[message_id] += 1
                self.begun[DeliveryKey(message_id, last[message_id])] = claimed.number - 1
        assert finish(self.engine, *settlements) == are_ours

    @precondition(lambda self: self.hands)
    @rule(pick=picks)
    def give_up(self, *, pick: int) -> None:
        claimed = self.hands.pop(pick % len(self.hands))
        is_ours = self.give_away(claimed)
        assert finish(self.engine, make_settlement(claimed, DEFERRED, is_expired=True)) == [is_ours]

    @precondition(lambda self: self.hands)
    @rule(pick=picks, is_later=st.booleans())
    def release(self, *, pick: int, is_later: bool) -> None:
        claimed = self.hands.pop(pick % len(self.hands))
        until = self.now + timedelta(minutes=1) if is_later else None
        is_ours = self.give_away(claimed)
        assert run(self.engine, release, Release(claimed, "no room", until)) == [is_ours]
        self.begun[claimed.key] -= is_ours

    def has_right(self, claimed: Claimed) -> bool:
        right = self.rights.get(claimed.key)
        return right is not None and (right.owner, right.number) == (claimed.lease.owner, claimed.number)

    def give_away(self, claimed: Claimed) -> bool:
        is_ours = self.has_right(claimed)
        if is_ours:
            del self.rights[claimed.key]
        return is_ours

    def deliver(self, claimed: Claimed, replies: list[Reply]) -> None:
        for recipient, reply in zip(claimed.envelope.recipients, replies, strict=True):
            if reply is DELIVERED:
                one = (claimed.key.message_id, recipient.number)
                assert one not in self.taken_upstream or claimed.key in self.rights_lost
                self.taken_upstream.add(one)

    @rule(owner=owners)
    def renew(self, *, owner: str) -> None:
        keys = {claimed.key for claimed in self.hands if claimed.lease.owner == owner}
        (lost,) = run(self.engine, renew, Renewal(owner, keys, self.now + LEASE))
        kept = {key for key in keys if key in self.rights and self.rights[key].owner == owner}
        assert lost == keys - kept
        for key in kept:
            self.rights[key] = self.rights[key]._replace(until=self.now + LEASE)

    @precondition(lambda self: self.hands)
    @rule(owner=owners, has_delivered=st.booleans())
    def crash(self, *, owner: str, has_delivered: bool) -> None:
        """All that a process had in hand is gone, perhaps after the upstream took it."""
        for claimed in [claimed for claimed in self.hands if claimed.lease.owner == owner]:
            self.hands.remove(claimed)
            if has_delivered:
                self.deliver(claimed, [DELIVERED] * len(claimed.envelope.recipients))
        self.take_for_dead(owner)

    @precondition(lambda self: self.hands)
    @rule(frozen=owners, other=owners)
    def freeze(self, *, frozen: str, other: str) -> None:
        """A process is taken for dead, but will wake up again; meanwhile what it had goes to another."""
        self.take_for_dead(frozen)
        self.claim(owner=other, limit=6)

    def take_for_dead(self, owner: str) -> None:
        gone = {key for key, right in self.rights.items() if right.owner == owner}
        assert run(self.engine, take_back, TakeBack(self.now, owner=owner)) == [len(gone)]
        self.lose(gone)

    def lose(self, keys: set[DeliveryKey]) -> None:
        self.rights_lost |= keys
        self.rights = {key: right for key, right in self.rights.items() if key not in keys}

    # --- time -------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([20, 40, 120, 300]))
    def time_passes(self, *, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        run(self.engine, promote, self.now)
        over = {key for key, right in self.rights.items() if right.until <= self.now}
        assert run(self.engine, take_back, TakeBack(self.now)) == [len(over)]
        self.lose(over)

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
        """Of each recipient the address, the delivery, and how that stands."""
        of, people = deliveries.c, recipients.c
        standing = {row[:2]: row[2] for row in self.rows(of.message_id, of.part, of.state)}
        return {
            (message_id, number): (address, DeliveryKey(message_id, part), standing[message_id, part])
            for message_id, number, address, part in self.rows(
                people.message_id, people.number, people.address, people.part
            )
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
