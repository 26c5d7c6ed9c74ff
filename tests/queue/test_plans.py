"""The queue must not grow slower with what waits in it, nor with what is long done.

So every question that is asked again and again must be answered from an index that holds only what
it is about.  Both databases take such a partial index only for a condition they can see through.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, event, text

from relay.queue.browse import accepted_since, counts, queue_page
from relay.queue.claim import ClaimOrder, TakeBack, claim_due, due_but_of, take_back
from relay.queue.demand import routes_in_demand
from relay.queue.janitor import ExpiryOrder, claim_expired, has_due, promote
from relay.queue.late import find_late
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState
from relay.queue.waiting import IN_HAND_AHEAD, QUEUED_AHEAD
from tests.kit.clock import NOON

LEASE = timedelta(minutes=2)


# PostgreSQL plans by what it knows of the rows, so there must be some, and most of them long done.
CROWD = """
    INSERT INTO messages (id, accepted_at, expires_at, origin, sender, tag, priority, octets, body, smtputf8)
    SELECT n::text, :noon - n * interval '1 minute', :noon + interval '4 days',
        'submission', '', CASE n % 4 WHEN 0 THEN 'News' END, 3, 1, '7BIT', false
    FROM generate_series(1, 20000) AS n;
    INSERT INTO deliveries
        (message_id, part, route_id, state, priority, due_at, rank_at, expires_at, attempts, leased_until)
    SELECT n::text, 1, 'route ' || n % 3, state, 3, :noon + n * interval '1 second', :noon,
        :noon + interval '4 days' + n * interval '1 second', 1, :noon + interval '2 minutes'
    FROM (
        SELECT n, CASE n % 200 WHEN 1 THEN 'queued' WHEN 2 THEN 'waiting' WHEN 3 THEN 'waiting'
            WHEN 4 THEN 'leased' WHEN 5 THEN 'held' ELSE 'done' END AS state
        FROM generate_series(1, 20000) AS n
    ) AS crowd;
    ANALYZE messages;
    ANALYZE deliveries
"""


class Plans:
    """Notes how the database would answer each SELECT that is asked of it."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx
        self.seen: list[str] = []

    def note(self, _tx: Connection, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT") and not self._is_explaining:
            self._is_explaining = True
            how = "EXPLAIN QUERY PLAN " if self.tx.dialect.name == "sqlite" else "EXPLAIN "
            rows = self.tx.exec_driver_sql(how + statement, parameters)  # type: ignore[arg-type]
            self.seen.append("\n".join(str(row[-1]) for row in rows))
            self._is_explaining = False

    _is_explaining = False


@pytest.fixture
def plans(engine: Engine) -> Iterator[Plans]:
    with engine.begin() as tx:
        if engine.dialect.name == "postgresql":
            for statement in CROWD.split(";"):
                tx.execute(text(statement).bindparams(noon=NOON) if ":noon" in statement else text(statement))
        noted = Plans(tx)
        event.listen(tx, "before_cursor_execute", noted.note)
        yield noted


def test_claiming_reads_only_what_is_queued_for_the_route(plans: Plans) -> None:
    claim_due(plans.tx, [ClaimOrder("node/1", NOON, LEASE, {"default": 10})])
    (plan,) = plans.seen
    assert "ix_deliveries_ready" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_claiming_past_stopped_users_reads_the_same_index(plans: Plans) -> None:
    due_but_of(plans.tx, {"default": 10}, ["bob"])
    (plan,) = plans.seen
    assert "ix_deliveries_ready" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_counting_what_goes_before_a_delivery_reads_only_what_is_queued_or_leased(plans: Plans) -> None:
    known = {"route_ids": ["route 1", "route 2"], "rank_at": NOON, "at_most": 100}
    plans.tx.execute(QUEUED_AHEAD, known)
    plans.tx.execute(IN_HAND_AHEAD, known)
    queued, in_hand = plans.seen
    assert "ix_deliveries_ready" in queued
    assert "ix_deliveries_leased" in in_hand


def test_what_is_in_demand_is_found_by_steps_along_the_same_index(plans: Plans) -> None:
    routes = routes_in_demand(plans.tx)
    assert len(plans.seen) == len(routes) + 1
    assert all("ix_deliveries_ready" in plan for plan in plans.seen)


def test_promoting_reads_only_what_is_due(plans: Plans) -> None:
    promote(plans.tx, [NOON])
    (plan,) = plans.seen
    assert "ix_deliveries_waiting" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_taking_back_reads_only_what_is_leased(plans: Plans) -> None:
    take_back(plans.tx, [TakeBack(NOON), TakeBack(NOON, owner="node/1")])
    assert ["ix_deliveries_leased" in plan for plan in plans.seen] == [True, True]


def test_giving_up_reads_only_what_is_too_old(plans: Plans) -> None:
    claim_expired(plans.tx, [ExpiryOrder("node/1", NOON, LEASE, 10)])
    (plan,) = plans.seen
    assert "ix_deliveries_resting" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_looking_whether_anything_is_due_reads_four_indexes(plans: Plans) -> None:
    has_due(plans.tx, NOON)
    (plan,) = plans.seen
    for kind in ("waiting", "leased", "resting", "late"):
        assert f"ix_deliveries_{kind}" in plan


def test_looking_for_what_is_late_reads_only_that(plans: Plans) -> None:
    find_late(plans.tx, NOON, 10)
    (plan,) = plans.seen
    assert "ix_deliveries_late" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_counting_reads_nothing_that_is_done(plans: Plans) -> None:
    counts(plans.tx)
    resting, leased = plans.seen
    assert "ix_deliveries_resting" in resting
    assert "ix_deliveries_leased" in leased


def test_counting_what_was_accepted_today_reads_today(plans: Plans) -> None:
    accepted_since(plans.tx, NOON)
    (plan,) = plans.seen
    assert "ix_messages_accepted_at" in plan


@pytest.mark.parametrize("state", [None, DeliveryState.WAITING, DeliveryState.HELD])
@pytest.mark.parametrize("selection", [None, Selection(tag="News")])
def test_a_page_reads_nothing_that_is_done(
    plans: Plans, selection: Selection | None, state: DeliveryState | None
) -> None:
    queue_page(plans.tx, state=state, selection=selection)
    for plan in plans.seen:
        assert "ix_deliveries_" in plan  # whichever: each of them holds only what is not done
        assert "Seq Scan on deliveries" not in plan
