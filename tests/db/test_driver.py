import pytest
from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from relay.db import driver
from relay.db.among import Among
from relay.db.batch import Batch
from relay.db.tables import settings
from tests.kit.clock import NOON

INSERT = Batch(insert(settings), apart=("name",))
VALUES = Among(lambda ids: select(settings.c.name).where(settings.c.name.in_(ids)).order_by(settings.c.name))
DROP = Among(lambda ids: delete(settings).where(settings.c.name.in_(ids), settings.c.value != "kept"))


def fill(tx: Connection, names: list[str], value: str = "") -> None:
    INSERT.run(tx, [{"name": name, "value": value, "changed_at": NOON} for name in names])


@pytest.mark.parametrize("again", [["x"], ["y", "x"]])
def test_what_the_driver_raises_is_told_as_sqlalchemy_tells_it(engine: Engine, again: list[str]) -> None:
    with engine.connect() as tx:
        fill_first(tx)
        with pytest.raises(IntegrityError) as usual:
            tx.execute(insert(settings).values(name="x", value="", changed_at=NOON))
    with engine.connect() as tx:
        fill_first(tx)
        with pytest.raises(IntegrityError) as raised:
            fill(tx, again)
    assert type(raised.value.orig) is type(usual.value.orig)
    with engine.begin() as tx:
        assert tx.execute(select(settings.c.name)).all() == []


def fill_first(tx: Connection) -> None:
    tx.begin()
    fill(tx, ["x"])


def test_a_lost_connection_is_known_as_such(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    with engine.connect() as tx:
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError) as raised:
            driver.execute(tx, "SELECT 1", {})
        assert raised.value.connection_invalidated
    with engine.begin() as tx:
        fill(tx, ["after"])


def test_nothing_is_run_outside_of_a_transaction(engine: Engine) -> None:
    with engine.connect() as tx, pytest.raises(AssertionError):
        driver.execute(tx, "SELECT 1", ())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 64, 65, 131])
def test_rows_are_found_and_dropped_however_many_ids_there_are(engine: Engine, count: int) -> None:
    names = [f"{number:03}" for number in range(count)]
    with engine.begin() as tx:
        fill(tx, [*names, "x"])
        fill(tx, ["y"], "kept")
        assert [*VALUES.run(tx, {*names, "nowhere"})] == [(name,) for name in names]
        assert DROP.run(tx, {*names, "y"}) == []
        assert [*tx.execute(select(settings.c.name).order_by(settings.c.name)).scalars()] == ["x", "y"]


def test_a_value_may_stand_in_several_places_of_a_statement(engine: Engine) -> None:
    same = delete(settings).where(
        (settings.c.name == bindparam("of")) | (settings.c.value == bindparam("of")), settings.c.value != "-"
    )
    with engine.begin() as tx:
        fill(tx, ["a"], "b")
        fill(tx, ["b"], "c")
        fill(tx, ["c"], "d")
        Batch(same).run(tx, [{"of": "b"}])
        assert [*tx.execute(select(settings.c.name)).scalars()] == ["c"]
