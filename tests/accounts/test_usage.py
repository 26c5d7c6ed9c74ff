"""Usage: what was charged, by user and hour, however it was grouped."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine

from relay.accounts.usage import Charge, Usage, charge, charge_minutes, used_in, used_since
from relay.db.engine import read_with
from relay.policy.quotas import Window
from tests.accounts.conftest import MakeUser
from tests.kit.clock import NOON

HOUR = timedelta(hours=1)


def test_a_batch_is_summed_by_user_and_hour_and_added_to_what_stands(
    engine: Engine, make_user: MakeUser
) -> None:
    ann, bob = make_user("ann").id, make_user("bob").id
    late = NOON + timedelta(minutes=59, seconds=59)
    batches = (
        [Charge(ann, NOON, 1, 100), Charge(bob, NOON, 2, 50), Charge(ann, late, 3, 10)],
        [Charge(ann, NOON, 1, 1)],
    )
    for batch in batches:
        with engine.begin() as tx:
            charge(tx, batch)
    assert read_with(engine, used_since, NOON) == {ann: Usage(3, 5, 111), bob: Usage(1, 2, 50)}
    assert read_with(engine, used_since, NOON + HOUR) == {}


def test_each_hour_has_its_own_sum(engine: Engine, make_user: MakeUser) -> None:
    ann = make_user("ann").id

    def write(tx: Connection, at: Sequence[datetime]) -> None:
        charge(tx, [Charge(ann, moment, 1, 10) for moment in at])

    with engine.begin() as tx:
        write(tx, [NOON, NOON + HOUR, NOON + 2 * HOUR])
    assert read_with(engine, used_since, NOON + HOUR)[ann] == Usage(2, 2, 20)


def test_nothing_to_charge_is_nothing_to_do(engine: Engine) -> None:
    with engine.begin() as tx:
        charge(tx, [])


def test_very_large_sums_stay_exact(engine: Engine, make_user: MakeUser) -> None:
    ann = make_user("ann").id
    with engine.begin() as tx:
        charge(tx, [Charge(ann, NOON, 1, 2**40), Charge(ann, NOON + HOUR, 1, 2**40)])
    assert read_with(engine, used_since, NOON)[ann].octets == 2**41


def test_a_window_ends_so_that_what_was_sent_while_the_clock_was_ahead_uses_up_nothing(
    engine: Engine, make_user: MakeUser
) -> None:
    ann = make_user("ann").id
    sent = [Charge(ann, NOON, 1, 10), Charge(ann, NOON + timedelta(days=40), 1, 10)]
    with engine.begin() as tx:
        charge(tx, sent)
        charge_minutes(tx, sent)
    for window in Window:
        assert read_with(engine, used_in, ann, window, NOON) == Usage(1, 1, 10)


def test_each_window_ends_where_the_next_one_begins() -> None:
    moment = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)
    for window in Window:
        assert window.end(moment) == datetime(2027, 1, 1, tzinfo=UTC)
    assert Window.MONTH.end(NOON.replace(month=2)) == datetime(2026, 3, 1, tzinfo=UTC)
