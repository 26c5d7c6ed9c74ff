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


AT_ONCE = [
    Batch(insert(settings), apart=("name",)),
    Batch(
        update(settings)
        .where(settings.c.name == bindparam("of_name"), settings.c.value != "fixed")
        .values(value=bindparam("to_value"), changed_at=NOON),
        apart=("of_name",),
    ),
]


@pytest.mark.parametrize("count", [1, 2, 3, 64, 131])
def test_many_rows_at_once_come_to_the_same_as_one_after_the_other(engine: Engine, count: int) -> None:
    insert_all, change_all = AT_ONCE
    names = [f"{number:03}" for number in range(count)]
    with engine.begin() as tx:
        values = [{"name": name, "value": "free", "changed_at": NOON} for name in names]
        insert_all.run(tx, [*values, {"name": "x", "value": "fixed", "changed_at": NOON}])
        change_all.run(tx, [{"of_name": name, "to_value": f"new {name}"} for name in [*names, "x"]])
        found = tx.execute(select(settings.c.name, settings.c.value).order_by(settings.c.name))
        assert [tuple(row) for row in found] == [*((name, f"new {name}") for name in names), ("x", "fixed")]


def test_rows_that_concern_each_other_are_run_in_their_order(engine: Engine) -> None:
    insert_all, change_all = AT_ONCE
    with engine.begin() as tx:
        insert_all.run(tx, [{"name": "a", "value": "free", "changed_at": NOON}])
        change_all.run(tx, [{"of_name": "a", "to_value": "fixed"}, {"of_name": "a", "to_value": "late"}])
        assert tx.execute(select(settings.c.value)).scalar_one() == "fixed"


def test_no_rows_are_no_work(engine: Engine) -> None:
    with engine.connect() as tx:
        INSERT.run(tx, [])
        assert not tx.in_transaction()


def test_a_row_that_lacks_a_value_is_a_mistake(engine: Engine) -> None:
    with engine.connect() as tx, pytest.raises(KeyError):
        INSERT.run(tx, [{"name": "a", "value": "", "changed_at": NOON}, {"name": "b", "changed_at": NOON}])
