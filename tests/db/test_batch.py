import pytest
from sqlalchemy import Engine, bindparam, delete, insert, select, update

from relay.db.batch import Batch
from relay.db.tables import revisions, settings
from tests.kit.clock import NOON

INSERT = Batch(insert(settings))
CHANGE = Batch(
    update(settings)
    .where(settings.c.name == bindparam("of_name"), settings.c.value != "fixed")
    .values(value=bindparam("to_value"), changed_at=NOON)
)
COUNT = Batch(
    update(revisions).where(revisions.c.subject == bindparam("of")).values(number=revisions.c.number + 1)
)
DELETE = Batch(delete(settings).where(settings.c.name == bindparam("of_name")))


def test_each_row_is_written_with_its_values_converted(engine: Engine) -> None:
    with engine.begin() as tx:
        INSERT.run(tx, [{"name": str(n), "value": "50 %", "changed_at": NOON} for n in range(3)])
        found = tx.execute(select(settings).order_by(settings.c.name)).all()
    assert [tuple(row) for row in found] == [(str(n), "50 %", NOON) for n in range(3)]


def test_what_the_statement_brings_itself_goes_along_with_each_row(engine: Engine) -> None:
    with engine.begin() as tx:
        values = {"a": "free", "b": "fixed", "c": "free"}
        INSERT.run(tx, [{"name": n, "value": v, "changed_at": NOON} for n, v in values.items()])
        CHANGE.run(tx, [{"of_name": name, "to_value": "new"} for name in values])
        DELETE.run(tx, [{"of_name": "c"}])
        found = tx.execute(select(settings.c.name, settings.c.value).order_by(settings.c.name))
        assert [tuple(row) for row in found] == [("a", "new"), ("b", "fixed")]


def test_a_statement_may_count_up_what_is_there(engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(insert(revisions).values(subject="x", number=1))
        COUNT.run(tx, [{"of": "x"}, {"of": "x"}])
        assert tx.execute(select(revisions.c.number)).scalar_one() == 3


def test_no_rows_are_no_work(engine: Engine) -> None:
    with engine.connect() as tx:
        INSERT.run(tx, [])
        assert not tx.in_transaction()


def test_a_row_that_lacks_a_value_is_a_mistake(engine: Engine) -> None:
    with engine.connect() as tx, pytest.raises(KeyError):
        INSERT.run(tx, [{"name": "a", "value": "", "changed_at": NOON}, {"name": "b", "changed_at": NOON}])
