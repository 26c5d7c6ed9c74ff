import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from relay.db import migrate
from relay.db.engine import open_engine
from relay.db.tables import metadata
from tests.kit.postgres import Postgres

MIGRATIONS = Path(migrate.__file__).parents[2] / "migrations"


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.bare_database() as url:
        yield url


@pytest.fixture
def bare_engine(bare_url: str) -> Iterator[Engine]:
    engine = open_engine(bare_url)
    yield engine
    engine.dispose()


def alembic_config(**attributes: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes.update(attributes)
    return config


def test_migrations_make_what_the_schema_says(engine: Engine) -> None:
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert found == []


def test_migrations_index_the_rows_that_the_schema_says(bare_engine: Engine) -> None:
    migrate.upgrade(bare_engine)
    migrated = conditions_of_indexes(bare_engine)
    with bare_engine.begin() as connection:
        command.downgrade(alembic_config(connection=connection), "base")
    metadata.create_all(bare_engine)
    assert migrated == conditions_of_indexes(bare_engine)
    assert "ix_deliveries_ready" in migrated


def conditions_of_indexes(engine: Engine) -> dict[str | None, str]:
    where = f"{engine.dialect.name}_where"
    return {
        index["name"]: str(index["dialect_options"][where])
        for table in metadata.tables
        for index in inspect(engine).get_indexes(table)
        if where in index.get("dialect_options", {})
    }


def test_an_empty_database_is_upgraded_once(bare_engine: Engine) -> None:
    assert migrate.current(bare_engine) is None
    assert not migrate.is_up_to_date(bare_engine)
    assert migrate.upgrade(bare_engine)
    assert migrate.current(bare_engine) == migrate.head()
    assert migrate.is_up_to_date(bare_engine)
    assert not migrate.upgrade(bare_engine)


def test_of_several_processes_that_start_at_once_one_migrates(bare_url: str) -> None:
    def start(_: int) -> bool:
        engine = open_engine(bare_url)
        try:
            return migrate.upgrade(engine)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(start, range(4))) == [False, False, False, True]


def test_a_failed_migration_leaves_nothing_behind(
    bare_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bare_engine.begin() as tx:
        tx.execute(text("CREATE TABLE rollups (stands INTEGER, in_the_way INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(bare_engine)
    assert inspect(bare_engine).get_table_names() == ["rollups"]
    with bare_engine.begin() as tx:
        tx.execute(text("DROP TABLE rollups"))
    assert migrate.upgrade(bare_engine)


def test_a_database_of_a_newer_relay_is_left_alone(bare_engine: Engine) -> None:
    migrate.upgrade(bare_engine)
    with bare_engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.UnknownRevision, match="9999"):
        migrate.upgrade(bare_engine)
    assert migrate.current(bare_engine) == "9999"


def test_foreign_keys_are_in_force_after_a_migration(bare_engine: Engine) -> None:
    migrate.upgrade(bare_engine)
    with bare_engine.begin() as tx, pytest.raises(Exception, match=r"(?i)foreign key"):
        tx.execute(text("INSERT INTO contents (message_id, content) VALUES ('nobody', 'x')"))


def test_everything_can_be_taken_back(bare_engine: Engine) -> None:
    migrate.upgrade(bare_engine)
    with bare_engine.begin() as connection:
        command.downgrade(alembic_config(connection=connection), "base")
    assert inspect(bare_engine).get_table_names() == ["alembic_version"]


def test_the_head_is_what_alembic_says() -> None:
    assert migrate.head() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_an_operator_can_have_the_statements_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    command.upgrade(alembic_config(url="postgresql://"), "head", sql=True)
    written = capsys.readouterr().out
    for table in metadata.tables:
        assert f"CREATE TABLE {table} " in written
    assert (
        "CREATE INDEX ix_deliveries_ready ON deliveries (route_id, rank_at) WHERE state = 'queued'" in written
    )


def test_alembic_takes_a_url_too(bare_url: str, bare_engine: Engine) -> None:
    command.upgrade(alembic_config(url=bare_url), "head")
    assert migrate.is_up_to_date(bare_engine)


def test_a_start_with_nothing_to_do_does_not_load_alembic(engine: Engine, database_url: str) -> None:
    check = (
        "import sys; from relay.db import engine, migrate;"
        f"assert not migrate.upgrade(engine.open_engine({database_url!r}));"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
