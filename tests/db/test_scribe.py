import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from relay.db.database import Database
from relay.db.engine import open_engine, read_with
from relay.db.scribe import Scribe, ScribeGone, hire
from relay.db.tables import settings
from relay.mail.priority import Priority
from relay.mail.states import DeliveryState
from tests.kit.clock import NOON


def keep(tx: Connection, names: Sequence[str]) -> list[str]:
    tx.execute(insert(settings), [{"name": name, "value": "", "changed_at": NOON} for name in names])
    return [f"kept {name}" for name in names]


def who(_tx: Connection, items: Sequence[None]) -> list[int]:
    return [os.getpid()] * len(items)


def echo(_tx: Connection, items: Sequence[Any]) -> list[Any]:
    return list(items)


def die(_tx: Connection, items: Sequence[None]) -> list[None]:
    os.kill(os.getpid(), signal.SIGKILL)
    return [None] * len(items)


class Unspeakable(Exception):
    """Cannot be pickled: its one argument is not in its args."""

    def __init__(self, *, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return (Unspeakable, ())


def stumble(_tx: Connection, _items: Sequence[None]) -> list[None]:
    raise Unspeakable(reason="a stone")


def kept(tx: Connection) -> list[str]:
    return list(tx.execute(select(settings.c.name).order_by(settings.c.name)).scalars())


@pytest_asyncio.fixture
async def scribe(database_url: str) -> Scribe:
    return await hire(database_url)


@pytest_asyncio.fixture
async def db(database_url: str, scribe: Scribe) -> AsyncIterator[Database]:
    database = Database(open_engine(database_url), scribe)
    yield database
    await database.close()


async def test_what_it_answers_is_committed_and_was_written_elsewhere(
    db: Database, database_url: str
) -> None:
    assert await db.write(keep, "one") == "kept one"
    assert await db.write(who, None) != os.getpid()
    elsewhere = open_engine(database_url)
    assert read_with(elsewhere, kept) == ["one"]
    elsewhere.dispose()


async def test_each_of_many_writes_is_answered_with_its_own_result(db: Database) -> None:
    async def one(task: int) -> None:
        for turn in range(25):
            name = f"{task}-{turn}"
            assert await db.write(keep, name) == f"kept {name}"

    await asyncio.gather(*(one(task) for task in range(40)))
    assert len(await db.read(kept)) == 1000


async def test_only_the_guilty_fails_and_is_told_what_it_was(db: Database) -> None:
    await db.write(keep, "twice")
    writes = [db.write(keep, name) for name in ("a", "twice", "b")]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(answers[1], IntegrityError)
    assert await db.read(kept) == ["a", "b", "twice"]


async def test_a_fault_that_cannot_travel_is_told_in_words(db: Database) -> None:
    with pytest.raises(RuntimeError, match="Unspeakable"):
        await db.write(stumble, None)
    assert await db.write(keep, "after") == "kept after"


async def test_what_cannot_travel_fails_alone(db: Database) -> None:
    writes = [db.write(echo, thing) for thing in ("a", lambda: None, "b")]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [answers[0], answers[2]] == ["a", "b"]
    assert isinstance(answers[1], Exception)


async def test_more_octets_than_any_buffer_holds_go_there_and_back(db: Database) -> None:
    letters = [bytes([number]) * 9_000_000 for number in range(4)]
    assert await asyncio.gather(*(db.write(echo, letter) for letter in letters)) == letters


@dataclass(frozen=True, slots=True)
class Pair:
    left: object
    right: object


@dataclass(frozen=True)
class Single:
    only: object


@dataclass
class Counted:
    """One field is nobody's to give."""

    start: int
    count: int = field(default=0, init=False)


async def test_values_of_all_kinds_go_there_and_back(db: Database) -> None:
    counted = Counted(3)
    counted.count = 7
    sent = [
        Pair(Single(None), (Priority.HIGH, NOON)),
        Single(frozenset({DeliveryState.HELD})),
        counted,
        {"key": [Pair(b"", timedelta(1))]},
        None,
    ]
    assert await asyncio.gather(*(db.write(echo, value) for value in sent)) == sent


async def test_closing_commits_what_is_pending(database_url: str) -> None:
    database = Database(open_engine(database_url), await hire(database_url))
    writes = [database.write(keep, str(number)) for number in range(5)]
    await database.close()
    assert all(write.done() for write in writes)
    elsewhere = open_engine(database_url)
    assert read_with(elsewhere, kept) == ["0", "1", "2", "3", "4"]
    elsewhere.dispose()


async def test_when_it_is_killed_all_who_wait_are_told_and_so_is_whoever_comes_later(
    db: Database, scribe: Scribe
) -> None:
    writes: list[asyncio.Future[Any]] = [db.write(die, None), db.write(keep, "lost")]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(answer, ConnectionError) for answer in answers)
    assert scribe.gone.is_set()
    with pytest.raises(ScribeGone):
        await db.write(keep, "late")
    assert await db.read(kept) == []


async def test_it_ends_when_nobody_is_left_to_write_for(db: Database) -> None:
    pid = await db.write(who, None)
    await db.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
