from collections.abc import Sequence

from sqlalchemy import Connection, text

from relay.db.engine import Database


def answer(tx: Connection, items: Sequence[int]) -> list[int]:
    return [tx.execute(text("SELECT 1")).scalar_one() + item for item in items]


async def test_a_write_answers(db: Database) -> None:
    assert await db.write(answer, 1) == 2
