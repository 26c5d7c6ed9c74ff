"""Quotas: exact, whoever counts at the same time."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, func, insert, select

from relay.accounts.usage import forget_minutes
from relay.db import tables
from relay.db.engine import open_engine, read_with, write_with
from relay.policy.limits import Limits
from relay.policy.quotas import BadQuota, Beyond, Quota, Unit, Window, quota
from relay.queue.granted import Regrant, is_of_stranger, release_granted
from relay.queue.metered import Metered, accept_metered
from relay.queue.states import DeliveryState
from tests.kit.clock import NOON
from tests.kit.makers import make_acceptance, make_envelope, make_session, new_id

USER = "01USER"


@pytest.fixture(autouse=True)
def user(engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(insert(tables.users).values(id=USER, name="ann", created_at=NOON))


def metered(
    *quotas: Quota, beyond: Beyond = Beyond.REFUSE, at: timedelta = timedelta(0), to: int = 1
) -> Metered:
    now = NOON + at
    acceptance = make_acceptance(
        at=now,
        envelope=make_envelope(recipients=[f"r{n}@example.net" for n in range(to)]),
        session=make_session(user="ann", user_id=USER),
    )
    return Metered(acceptance, USER, Limits(quotas=quotas, beyond=beyond), new_id(now))


def held_for(item: Metered, reason: str) -> Metered:
    """The same, of a foreign sender and held for that."""
    made = make_acceptance(
        envelope=make_envelope("boss@elsewhere.test"),
        session=make_session(user="ann", user_id=USER),
        content=b"From: boss@elsewhere.test\r\n\r\nx\r\n",
        hold_reason=reason,
    )
    return item._replace(acceptance=made)


def kept(engine: Engine, *items: Metered) -> list[bool]:
    with engine.begin() as tx:
        return [metering.is_kept for metering in accept_metered(tx, items)]


@pytest.mark.parametrize(
    ("name", "later"),
    [
        ("messages/minute", timedelta(minutes=1)),
        ("messages/hour", timedelta(hours=1)),
        ("messages/day", timedelta(days=1)),
        ("messages/month", timedelta(days=31)),
        ("recipients/minute", timedelta(minutes=1)),
    ],
)
def test_so_many_and_no_more_until_the_next_window(engine: Engine, name: str, later: timedelta) -> None:
    limit = quota(name, 2)
    assert kept(engine, *(metered(limit) for _ in range(3))) == [True, True, False]
    assert kept(engine, metered(limit)) == [False]
    assert kept(engine, metered(limit, at=later)) == [True]


def test_what_is_too_much_by_itself_leaves_room_for_what_is_not(engine: Engine) -> None:
    limit = quota("recipients/hour", 5)
    items = [metered(limit, to=n) for n in (3, 3, 2, 1)]
    assert kept(engine, *items) == [True, False, True, False]


def test_octets_are_counted_as_they_are_kept(engine: Engine) -> None:
    size = len(metered().acceptance.content)
    limit = quota("octets/day", size * 2)
    assert kept(engine, *(metered(limit) for _ in range(3))) == [True, True, False]


def test_of_what_is_refused_nothing_is_kept_but_a_notice(engine: Engine) -> None:
    limit = quota("messages/hour", 0)
    assert kept(engine, metered(limit), metered(limit)) == [False, False]
    with engine.connect() as tx:
        assert tx.execute(select(func.count()).select_from(tables.messages)).scalar_one() == 0
        (notice,) = tx.execute(select(tables.notices))
    assert notice.kind == "quota"
    assert '"outcome": "refuse"' in notice.facts


def test_beyond_may_mean_held(engine: Engine) -> None:
    limit = quota("messages/hour", 1)
    first, second = (metered(limit, beyond=Beyond.HOLD) for _ in range(2))
    assert kept(engine, first, second) == [True, True]
    with engine.connect() as tx:
        found = {row.message_id: row for row in tx.execute(select(tables.deliveries))}
    assert found[first.acceptance.id].state == DeliveryState.QUEUED
    assert found[second.acceptance.id].state == DeliveryState.HELD
    assert found[second.acceptance.id].reason == "beyond the quota of 1 message an hour"


def test_what_is_also_held_for_its_sender_stays_when_that_one_is_granted(engine: Engine) -> None:
    limit, because = quota("messages/hour", 1), "ann may not send as boss@elsewhere.test"
    items = [held_for(metered(limit, beyond=Beyond.HOLD), because) for _ in range(2)]
    kept(engine, *items)
    within, beyond = (item.acceptance for item in items)
    with engine.begin() as tx:
        reason = f"beyond the quota of 1 message an hour; {because}"
        assert is_of_stranger(tx, user="ann", sender="boss@elsewhere.test", reason=reason, now=NOON)
        tx.execute(insert(tables.grants).values(user_id=USER, pattern="elsewhere.test", created_at=NOON))
        release_granted(tx, [Regrant("ann", NOON)])
        found = {row.message_id: row for row in tx.execute(select(tables.deliveries))}
    assert found[within.id].state == DeliveryState.QUEUED
    assert (found[beyond.id].state, found[beyond.id].reason) == (DeliveryState.HELD, reason)


def test_who_used_four_fifths_is_warned_once_a_window(engine: Engine) -> None:
    def warnings(tx: Connection) -> int:
        return tx.execute(select(func.count()).select_from(tables.notices)).scalar_one()

    limit = quota("messages/hour", 10)
    seen = []
    for _ in range(10):
        kept(engine, metered(limit))
        seen.append(read_with(engine, warnings))
    assert seen == [0] * 7 + [1] * 3
    kept(engine, *(metered(limit, at=timedelta(hours=1)) for _ in range(10)))
    assert read_with(engine, warnings) == 2


def test_a_quota_that_was_raised_warns_and_tells_anew(engine: Engine) -> None:
    for most in (10, 20):
        limit = quota("messages/month", most)
        kept(engine, *(metered(limit) for _ in range(12)))
    with engine.connect() as tx:
        told = [json.loads(facts) for facts in tx.execute(select(tables.notices.c.facts)).scalars()]
    assert [(each["quota"], each["outcome"]) for each in told] == [
        ("10 messages a month", "near"),
        ("10 messages a month", "refuse"),
        ("20 messages a month", "near"),
        ("20 messages a month", "refuse"),
    ]


def test_exact_however_many_processes_take_mail(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    limits = (quota("messages/minute", 17), quota("messages/day", 17))

    def process(_: int) -> int:
        own = open_engine(url)
        try:
            return sum(write_with(own, accept_metered, metered(*limits)).is_kept for _ in range(8))
        finally:
            own.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(process, range(4))) == 17
    with engine.connect() as tx:
        assert tx.execute(select(func.count()).select_from(tables.messages)).scalar_one() == 17


def test_minutes_long_gone_are_forgotten(engine: Engine) -> None:
    kept(engine, metered(quota("messages/minute", 5)))
    with engine.begin() as tx:
        forget_minutes(tx, NOON + timedelta(hours=1))
        assert tx.execute(select(tables.usage_minutes)).all() == []


@pytest.mark.parametrize("name", ["messages", "messages/week", "letters/day", "messages/day/hour"])
def test_what_is_no_quota_is_named(name: str) -> None:
    with pytest.raises(BadQuota, match=name):
        quota(name, 1)


def test_windows_are_those_of_the_calendar() -> None:
    now = NOON.replace(day=17, hour=13, minute=14, second=15)
    assert Window.MINUTE.begin(now) == now.replace(second=0)
    assert Window.MONTH.begin(now) == now.replace(day=1, hour=0, minute=0, second=0)
    assert str(Quota(Unit.RECIPIENTS, Window.DAY, 5)) == "5 recipients a day"
