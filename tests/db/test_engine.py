import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from relay.db.database import Database
from relay.db.engine import open_engine, passing_through, read_with, write_with
from relay.db.tables import settings
from tests.kit.clock import NOON


def keep(tx: Connection, names: Sequence[str]) -> list[str]:
    """A write like any of the rooms': all names in one statement."""
    tx.execute(insert(settings), [{"name": name, "value": "", "changed_at": NOON} for name in names])
    return [f"kept {name}" for name in names]


def kept(tx: Connection) -> list[str]:
    return list(tx.execute(select(settings.c.name).order_by(settings.c.name)).scalars())


class Gate:
    """Writes that keep the writer busy until they are let through, so that others gather behind them."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.groups: list[int] = []

    def wait(self, tx: Connection, items: Sequence[None]) -> list[None]:
        assert self.is_open.wait(10)
        return [None] * len(items)

    def keep(self, tx: Connection, names: Sequence[str]) -> list[str]:
        self.groups.append(len(names))
        return keep(tx, names)


async def test_a_write_is_committed_when_it_answers(db: Database, database_url: str) -> None:
    assert await db.write(keep, "one") == "kept one"
    elsewhere = open_engine(database_url)
    assert read_with(elsewhere, kept) == ["one"]
    elsewhere.dispose()


async def test_what_arrives_together_is_committed_together(db: Database) -> None:
    gate = Gate()
    first = db.write(gate.wait, None)
    others = [db.write(gate.keep, f"{n:03}") for n in range(100)]
    gate.is_open.set()
    await first
    assert await asyncio.gather(*others) == [f"kept {n:03}" for n in range(100)]
    # The writer may have taken some along with the first; the rest came in one group.
    assert len(gate.groups) <= 2


async def test_only_the_guilty_fails(db: Database) -> None:
    await db.write(keep, "twice")
    gate = Gate()
    first = db.write(gate.wait, None)
    names = ["a", "b", "twice", "c"]
    others = [db.write(gate.keep, name) for name in names]
    gate.is_open.set()
    await first
    answers = await asyncio.gather(*others, return_exceptions=True)
    assert [answers[0], answers[1], answers[3]] == ["kept a", "kept b", "kept c"]
    assert isinstance(answers[2], IntegrityError)
    assert await db.read(kept) == ["a", "b", "c", "twice"]


async def test_whatever_a_write_raises_its_caller_is_told(db: Database) -> None:
    def stumble(tx: Connection, items: Sequence[str]) -> list[str]:
        keep(tx, items)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.write(stumble, "never")
    assert await db.read(kept) == []
    assert await db.write(keep, "after") == "kept after"


async def test_a_write_that_answers_for_too_few_is_undone(db: Database) -> None:
    def forget(tx: Connection, items: Sequence[str]) -> list[str]:
        keep(tx, items)
        return []

    with pytest.raises(ValueError):
        await db.write(forget, "never")
    assert await db.read(kept) == []


async def test_closing_commits_what_is_pending(engine: Engine, database_url: str) -> None:
    database = Database(engine)
    gate = Gate()
    database.write(gate.wait, None)
    writes = [database.write(gate.keep, f"{n}") for n in range(5)]
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    gate.is_open.set()
    await closing
    assert all(write.done() for write in writes)
    elsewhere = open_engine(database_url)
    assert read_with(elsewhere, kept) == ["0", "1", "2", "3", "4"]
    elsewhere.dispose()


async def test_nothing_is_written_once_it_is_closed(engine: Engine) -> None:
    database = Database(engine)
    await database.close()
    with pytest.raises(RuntimeError):
        database.write(keep, "late")


async def test_a_caller_that_went_away_does_not_disturb_the_others(db: Database) -> None:
    gate = Gate()
    first = db.write(gate.wait, None)
    gone, there = db.write(gate.keep, "gone"), db.write(gate.keep, "there")
    gone.cancel()
    gate.is_open.set()
    await first
    assert await there == "kept there"
    assert "there" in await db.read(kept)


async def test_each_of_many_writes_is_answered_with_its_own_result(db: Database) -> None:
    async def one(task: int) -> None:
        for turn in range(50):
            name = f"{task}-{turn}"
            assert await db.write(keep, name) == f"kept {name}"

    await asyncio.gather(*(one(task) for task in range(40)))
    assert len(await db.read(kept)) == 2000


async def test_a_read_sees_one_moment(db: Database) -> None:
    seen = asyncio.Event()
    written = threading.Event()
    loop = asyncio.get_running_loop()

    def look_twice(tx: Connection) -> tuple[list[str], list[str]]:
        before = kept(tx)
        loop.call_soon_threadsafe(seen.set)
        assert written.wait(10)
        return before, kept(tx)

    if db.engine.dialect.name == "postgresql":
        pytest.skip("PostgreSQL reads committed rows; no reader of ours depends on more")
    looking = asyncio.create_task(db.read(look_twice))
    await seen.wait()
    await db.write(keep, "meanwhile")
    written.set()
    assert await looking == ([], [])


async def test_a_database_that_cannot_be_reached_fails_all_at_once_and_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "not-there-yet"
    engine = open_engine(f"sqlite:///{folder / 'relay.db'}")
    database = Database(engine)
    answers = await asyncio.gather(*(database.write(answer, n) for n in range(10)), return_exceptions=True)
    assert all(isinstance(one, OperationalError) for one in answers)
    folder.mkdir()
    assert await database.write(answer, 41) == 42
    await database.close()


def answer(tx: Connection, items: Sequence[int]) -> list[int]:
    return [tx.execute(text("SELECT 1")).scalar_one() + item for item in items]


async def test_a_locked_database_fails_and_is_used_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    engine, other = open_engine(url), open_engine(url)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20"))
    database = Database(engine)
    with other.begin(), pytest.raises(OperationalError, match="locked"):
        await database.write(answer, 1)
    assert await database.write(answer, 1) == 2
    await database.close()
    other.dispose()


async def test_a_dropped_connection_costs_no_write(db: Database) -> None:
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no connection to drop")
    await db.write(keep, "before")
    with db.engine.begin() as other:
        other.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        )
    assert await db.write(keep, "after") == "kept after"
    assert await db.read(kept) == ["after", "before"]


def test_reading_and_writing_work_without_a_loop(engine: Engine) -> None:
    assert write_with(engine, keep, "one") == "kept one"
    assert read_with(engine, kept) == ["one"]


def test_the_embedded_database_promises_what_250_says(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'relay.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_large_letter_is_not_written_once_more_to_be_forgotten(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'relay.db'}")
    with engine.begin() as tx:
        tx.exec_driver_sql("CREATE TABLE letter (content BLOB)")
        tx.exec_driver_sql("INSERT INTO letter VALUES (randomblob(3000000))")
    with closing(sqlite3.connect(tmp_path / "relay.db")) as beside:
        beside.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with engine.begin() as tx:
        tx.exec_driver_sql("DELETE FROM letter")
    assert 0 < (tmp_path / "relay.db-wal").stat().st_size < 300_000
    engine.dispose()


def test_what_passes_through_leaves_the_cache_as_it_was(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'relay.db'}")

    def cache(tx: Connection) -> int:
        return int(tx.exec_driver_sql("PRAGMA cache_size").scalar_one())

    with engine.connect() as tx:
        usual = cache(tx)
        with passing_through(tx):
            assert cache(tx) > usual  # it is told in KiB, below zero
        assert cache(tx) == usual
        with pytest.raises(OperationalError), passing_through(tx):
            tx.exec_driver_sql("SELECT content FROM nowhere")
        assert cache(tx) == usual
    engine.dispose()
