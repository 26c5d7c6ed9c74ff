"""What every room's tests may ask for: a fresh, migrated database of either kind."""

import shutil
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from relay import log
from relay.db.database import Database
from relay.db.engine import open_engine
from relay.db.migrate import upgrade
from relay.log_lines import Tracebacks
from tests.kit.clock import HandClock
from tests.kit.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this run, started when the first test wants it."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated and otherwise empty SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "relay.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "relay.db")
        yield f"sqlite:///{tmp_path / 'relay.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database(_migrate) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database, once on SQLite and once on PostgreSQL."""
    engine = open_engine(database_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _do_not_wait_for_the_disk)
    yield engine
    engine.dispose()


@pytest.fixture
async def db(engine: Engine) -> AsyncIterator[Database]:
    """A Database on the test's own loop, over `engine`."""
    database = Database(engine)
    yield database
    await database.close()


@pytest.fixture
def clock() -> HandClock:
    """A clock that stands at noon of some Monday until it is turned."""
    return HandClock()


def _migrate(url: str) -> None:
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


def _do_not_wait_for_the_disk(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What is logged, one event in JSON a line."""
    stream = StringIO()
    monkeypatch.setattr(log._writer, "stream", stream)
    monkeypatch.setattr(log._writer, "as_json", True)
    monkeypatch.setattr(log, "_tracebacks", Tracebacks())
    return stream
