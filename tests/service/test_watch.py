"""Noticing what was changed elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import Connection

from relay.db.database import Database
from relay.db.engine import read_with, write_with
from relay.db.revision import Subject, bump, read_all
from relay.service.watch import Watch


def change(tx: Connection, subjects: Sequence[Subject]) -> list[None]:
    for subject in subjects:
        bump(tx, subject)
    return [None] * len(subjects)


def noting(read: list[Subject], subject: Subject) -> Callable[[], Awaitable[None]]:
    async def note() -> None:
        read.append(subject)

    return note


async def test_what_changed_is_read_anew_once(db: Database) -> None:
    read: list[Subject] = []
    wanted = {subject: noting(read, subject) for subject in Subject}
    watch = Watch(db, read_with(db.engine, read_all))
    await watch.look(wanted)
    assert read == []
    write_with(db.engine, change, Subject.ROUTING)
    await watch.look(wanted)
    await watch.look(wanted)
    assert read == [Subject.ROUTING]
    write_with(db.engine, change, Subject.ROUTING)
    write_with(db.engine, change, Subject.SETTINGS)
    await watch.look(wanted)
    assert sorted(read) == [Subject.ROUTING, Subject.ROUTING, Subject.SETTINGS]


async def test_what_could_not_be_read_is_tried_again(db: Database) -> None:
    read: list[Subject] = []
    watch = Watch(db, {})

    async def fail() -> None:
        raise OSError("the database is gone")

    write_with(db.engine, change, Subject.ROUTING)
    with pytest.raises(OSError):
        await watch.look({Subject.ROUTING: fail})
    await watch.look({Subject.ROUTING: noting(read, Subject.ROUTING)})
    assert read == [Subject.ROUTING]


async def test_the_bell_makes_it_look_at_once(db: Database) -> None:
    looked = asyncio.Event()

    async def note() -> None:
        looked.set()

    watch = Watch(db, {})
    task = asyncio.create_task(watch.run({Subject.ACCOUNTS: note}))
    write_with(db.engine, change, Subject.ACCOUNTS)
    watch.ring()
    await looked.wait()
    task.cancel()
