"""A disk that has little room left: no more mail is taken, so that what is there can still go."""

import shutil
from pathlib import Path

from sqlalchemy import select

from relay.db import tables
from relay.db.storage import Storage
from tests.kit.house import House
from tests.submission.test_messages import LETTER, log_in, send

FULL = "452 4.3.1 Out of storage; try again later"


def test_what_is_to_be_kept_counts(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    free = shutil.disk_usage(tmp_path).free
    storage.floor = free // 2
    assert storage.has_room_for(0)
    assert not storage.has_room_for(free)


def test_without_a_file_there_is_room() -> None:
    assert Storage().has_room_for(2**60)


async def test_below_the_floor_no_mail_is_taken_and_above_it_again(house: House) -> None:
    client = await log_in(house)
    house.office.storage.floor = 2**62
    assert await client.ask("MAIL FROM:<ann@example.com>") == FULL
    house.office.storage.floor = 0
    assert (await send(client)).startswith("250")
    await client.close()


async def test_a_disk_that_got_full_meanwhile_takes_no_message(house: House) -> None:
    client = await log_in(house)
    await client.ask("MAIL FROM:<ann@example.com>")
    await client.ask("RCPT TO:<bob@example.org>")
    await client.ask("DATA")
    house.office.storage.floor = 2**62
    await client.send(LETTER + b".\r\n")
    assert await client.reply() == FULL
    with house.engine.connect() as tx:
        assert tx.execute(select(tables.messages)).all() == []
    await client.close()
