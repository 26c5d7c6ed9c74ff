"""On SQLite a transaction that reads first and then writes must not lose what another wrote meanwhile."""

import subprocess
import sys
from pathlib import Path

from sqlalchemy import insert, select

from relay.db.engine import open_engine
from relay.db.tables import revisions

PROCESSES, TURNS = 4, 60

COUNT_UP = """
import sys
from sqlalchemy import select, update
from relay.db.engine import open_engine, write_with
from relay.db.tables import revisions

def count_up(tx, items):
    number = tx.execute(select(revisions.c.number)).scalar_one()
    tx.execute(update(revisions).values(number=number + 1))
    return items

engine = open_engine(sys.argv[1])
for _ in range(int(sys.argv[2])):
    write_with(engine, count_up, None)
"""


def test_processes_that_read_and_then_write_lose_nothing(migrated_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(migrated_file.read_bytes())
    url = f"sqlite:///{path}"
    engine = open_engine(url)
    with engine.begin() as tx:
        tx.execute(insert(revisions).values(subject="x", number=0))
    counting = [subprocess.Popen([sys.executable, "-c", COUNT_UP, url, str(TURNS)]) for _ in range(PROCESSES)]
    assert [process.wait() for process in counting] == [0] * PROCESSES
    with engine.connect() as tx:
        assert tx.execute(select(revisions.c.number)).scalar_one() == PROCESSES * TURNS
    engine.dispose()
