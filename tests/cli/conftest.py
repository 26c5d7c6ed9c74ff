"""The command line as a stranger meets it: an empty directory, and `relay …`."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from relay.cli import main
from relay.db import tables
from relay.db.engine import open_engine, write_with
from relay.queue.accept import accept
from tests.kit.makers import make_acceptance, new_id
from tests.kit.web import FakeWeb


@dataclass(frozen=True)
class Answer:
    """What a command wrote, and the code it ended with."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)


Run = Callable[..., Answer]
Command = Callable[..., Coroutine[None, None, Answer]]
Take = Callable[..., str]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_file: Path) -> Path:
    """Where the relay of this test keeps its data: a database that is migrated, and empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-home"))
    monkeypatch.setenv("RELAY_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("RELAY_HOSTNAME", "relay.example.com")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("RELAY_CONFIG", raising=False)
    directory = tmp_path / "var"
    directory.mkdir(mode=0o700)
    shutil.copyfile(migrated_file, directory / "relay.db")
    return directory


@pytest.fixture
def nothing(data_dir: Path) -> Path:
    """The same directory as on a new machine: it is not there yet."""
    shutil.rmtree(data_dir)
    return data_dir


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command in this process; `typed` is what stands on its standard input."""

    def run(*arguments: str, typed: str = "") -> Answer:
        monkeypatch.setattr("sys.stdin", StringIO(typed))
        capsys.readouterr()
        code = main(list(arguments))
        written = capsys.readouterr()
        return Answer(code, written.out, written.err)

    return run


@pytest.fixture
def relay(run: Run) -> Command:
    """Run a command beside the loop that the servers live on."""

    async def relay(*arguments: str, typed: str = "") -> Answer:
        return await asyncio.to_thread(run, *arguments, typed=typed)

    return relay


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    """A provider on the web that gives tokens to whoever asks."""
    async with FakeWeb() as web:
        web.on("POST /token", 200, {"access_token": "t1", "refresh_token": "r1", "expires_in": 3600})
        yield web


@pytest.fixture
def engine(data_dir: Path) -> Iterator[Engine]:
    """The database behind the commands."""
    engine = open_engine(f"sqlite:///{data_dir / 'relay.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def take(engine: Engine, run: Run) -> Take:
    """Put a message into the queue by the default route, which leads to the sandbox; return its id."""
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    with engine.connect() as tx:
        route_id = tx.execute(select(tables.routes.c.id)).scalar_one()

    def take(**facts: Any) -> str:
        now = datetime.now(UTC)
        wanted = make_acceptance(**{"at": now, "id": new_id(now), "route_id": route_id, **facts})
        return write_with(engine, accept, wanted)

    return take


def options_of(engine: Engine) -> Any:
    """What is stored of the one upstream's options."""
    with engine.connect() as tx:
        return json.loads(tx.execute(select(tables.upstreams.c.options)).scalar_one())
