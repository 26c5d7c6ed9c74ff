"""The story of an upstream that fails and comes back, as the log tells it and the table shows it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from io import StringIO
from typing import Any

from sqlalchemy import Engine

from relay.db import nodes
from relay.db.database import Database
from relay.db.engine import read_with, write_with
from relay.routing.standing import State, load_stands, why_shut
from tests.delivery.makers import upstream_at
from tests.delivery.office import Office, eventually
from tests.delivery.test_limits import all_done, known, stands, takes
from tests.kit.upstream import FakeUpstream, once_open

TOLD = ("upstream_down", "passed_on", "upstream_probed", "upstream_up", "attempt_finished")


def told(lines: StringIO) -> list[tuple[str, str]]:
    """Event and upstream of each line that belongs to the story."""
    events: list[dict[str, Any]] = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [(event["event"], event["upstream"]) for event in events if event["event"] in TOLD]


async def test_an_upstream_fails_others_step_in_it_is_probed_and_takes_mail_again(
    db: Database, engine: Engine, lines: StringIO
) -> None:
    first, second = FakeUpstream(), FakeUpstream()
    async with first, second:
        pass  # so that both have a port
    one = upstream_at(first.port, name="first")
    other = upstream_at(second.port, id="U2", name="second")
    await known(db, one, other)
    async with second, Office(db, one, other).open() as office:
        clock = office.clock

        async def shut() -> Any:
            write_with(engine, nodes.beat, nodes.Beat(office.owner, clock.now(), clock.now()))
            return why_shut(one, read_with(engine, load_stands, clock.now())["U1"], clock.now())

        async def takes_mail() -> bool:
            return await shut() is None

        # Closed, and open at the first failure: the letter is at the second one before anybody waits.
        await office.until_state(await office.submit("bob", hot=True), "done")
        assert told(lines) == [
            ("upstream_down", "first"),
            ("passed_on", "second"),
            ("attempt_finished", "second"),
        ]
        down = await shut()
        assert (down.why, down.sentence) == (
            State.DOWN,
            "Upstream first is down: 451 4.4.1 Cannot connect: connection refused",
        )
        assert timedelta(seconds=15) <= down.until - clock.now() <= timedelta(seconds=18)

        # Half-open: one letter is the probe.  It fails, too; the wait doubles, and the letter is not late.
        lines.truncate(lines.seek(0))
        await office.turn(timedelta(seconds=18))
        assert (await shut()).why is State.PROBING
        await office.until_state(await office.submit("cid", hot=True), "done")
        assert told(lines) == [
            ("upstream_probed", "first"),
            ("upstream_down", "first"),
            ("passed_on", "second"),
            ("attempt_finished", "second"),
        ]
        down = await shut()
        assert timedelta(seconds=30) <= down.until - clock.now() <= timedelta(seconds=36)

        # Closed again: it answers the next probe, and everything goes there as before.
        lines.truncate(lines.seek(0))
        async with first:
            await office.turn(timedelta(seconds=36))
            for name in ("dan", "eve"):
                await office.until_state(await office.submit(name, hot=True), "done")
            assert told(lines) == [
                ("upstream_probed", "first"),
                ("attempt_finished", "first"),
                ("upstream_up", "first"),
                ("attempt_finished", "first"),
            ]
            await eventually(takes_mail)
    assert [len(second.taken), len(first.taken)] == [2, 2]


async def test_while_a_probe_is_under_way_all_other_mail_goes_elsewhere(db: Database) -> None:
    gate = asyncio.Event()
    async with FakeUpstream() as first, FakeUpstream() as second:
        first.on("CONNECT", "554 No", times=1)
        one = upstream_at(first.port, name="first", timeout=timedelta(seconds=60))
        async with Office(db, one, upstream_at(second.port, id="U2", name="second")).open() as office:
            await office.until_state(await office.submit("bob"), "done")
            first.on("CONNECT", once_open(gate))
            await office.turn(timedelta(seconds=20))
            probe = await office.submit("cid")
            await eventually(lambda: first.open == 1)
            for name in ("dan", "eve"):
                message = await office.submit(name)
                await office.until_state(message, "done")
                assert [a.upstream for a in await office.attempts(message)] == ["second"]
            assert await office.state(probe) == "leased"
            gate.set()
            await office.until_state(probe, "done")
            assert [a.upstream for a in await office.attempts(probe)] == ["first"]


async def test_what_one_process_finds_out_another_need_not_try(db: Database, engine: Engine) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("CONNECT", "554 No")
        first = upstream_at(upstream.port, name="first")
        await known(db, first)
        one, other = Office(db, first, owner="node/0"), Office(db, first, owner="node/1")
        other.new_id = one.new_id
        for office in (one, other):
            write_with(engine, nodes.beat, nodes.Beat(office.owner, one.clock.now(), one.clock.now()))

        async def states() -> dict[str, str]:
            return {row.owner: row.state for row in await stands(db)}

        async with one.open():
            letters = [await one.submit("bob", hot=True)]
            await eventually(lambda: are(states, {"node/0": "down"}))

            # Down there, so left alone here: nothing is handed over, nothing claimed.
            async with other.open():
                await eventually(lambda: not takes(other))
                letters.append(await other.submit("cid", hot=True))
                await eventually(lambda: are(states, {"node/0": "down", "node/1": "down"}))
                await other.turn(timedelta(seconds=1))
                assert not takes(other)
                assert upstream.connections == 1

                # Its own probe decides; and the first hears of it without having waited for its own.
                upstream.rules.clear()
                await other.turn(timedelta(seconds=18))
                await all_done(other, letters)
                await eventually(lambda: are(states, {"node/0": "down", "node/1": "works"}))
                assert not takes(one)
                await one.turn(timedelta(seconds=1))
                await eventually(lambda: takes(one))


async def are(states: Callable[[], Awaitable[dict[str, str]]], expected: dict[str, str]) -> bool:
    return await states() == expected
