"""Upstreams are tested now and then, each by one process, and what was found is kept."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from sqlalchemy import select

from relay.db.audit import Author
from relay.db.database import Database
from relay.db.tables import upstreams
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.rounds import check_those_due
from relay.ids import id_source
from relay.routing.changes import NewUpstream, add_upstream
from relay.routing.upstreams import Upstream
from tests.delivery.makers import direct_at, upstream_at
from tests.delivery.office import table_of
from tests.kit.clock import NOON, HandClock
from tests.kit.upstream import FakeUpstream

DAY = timedelta(days=1)


async def stored(db: Database, upstream: Upstream) -> Upstream:
    author = Author("cli:tester", NOON, id_source(Random(7)))
    return await db.write(add_upstream, NewUpstream(author, replace(upstream, id=author.id())))


async def look(db: Database, clock: HandClock, *known: Upstream) -> int:
    tokens = OwnTokens(clock)
    return await check_those_due(
        db, clock, table=table_of(*known), tokens=tokens, hostname="relay.example", every=DAY
    )


async def row(db: Database) -> Any:
    return await db.read(lambda tx: tx.execute(select(upstreams)).one())


async def test_an_upstream_is_checked_once_a_period_by_one_process(db: Database, clock: HandClock) -> None:
    async with FakeUpstream() as server:
        upstream = await stored(db, upstream_at(server.port))
        assert await look(db, clock, upstream) == 0, "it is new"
        clock.turn(DAY + timedelta(minutes=1))
        assert sorted(await asyncio.gather(*(look(db, clock, upstream) for _ in range(3)))) == [0, 0, 1]
        assert server.connections == 1
        found = await row(db)
        assert found.last_check == "success"
        assert found.last_check_detail.startswith("next can be reached")
        assert await look(db, clock, upstream) == 0
        server.on("CONNECT", "554 No")
        clock.turn(DAY + timedelta(minutes=1))
        assert await look(db, clock, upstream) == 1
        assert (await row(db)).last_check == "error"


async def test_there_is_no_one_way_to_all_domains(db: Database, clock: HandClock) -> None:
    upstream = await stored(db, direct_at(2, "127.0.0.1:2"))
    clock.turn(2 * DAY)
    assert await look(db, clock, upstream) == 1
    assert (await row(db)).last_check is None


async def test_one_that_is_switched_off_is_left_alone(db: Database, clock: HandClock) -> None:
    upstream = await stored(db, upstream_at(2, is_enabled=False))
    clock.turn(2 * DAY)
    assert await look(db, clock, upstream) == 0
    assert (await row(db)).last_check_at is None
