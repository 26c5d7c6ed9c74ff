"""Two processes that share a queue, as Hypothesis may have them act: what they are asked to do, and time."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from sqlalchemy import event, insert

from relay.db.engine import open_engine, read_with
from relay.db.tables import users
from relay.delivery.rules import Rules
from relay.mail.priority import Priority
from relay.mail.reply import Reply
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
from relay.queue.janitor import ExpiryOrder, claim_expired, promote
from relay.queue.states import RecipientState
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


class TwoProcesses(RuleBasedStateMachine):
    """What two processes can do, and what they may expect of each other."""

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
