from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import StatementError

from relay.db.tables import messages, recipients, settings
from relay.mail.states import RecipientState
from relay.queue.accept import accept
from tests.kit.makers import make_acceptance

MOMENTS = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2016, 3, 1, 12, tzinfo=UTC),  # what a head start of ten years makes of a day in 2026
    datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=2))),
    datetime(2026, 3, 29, 0, 30, 0, 2, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    datetime(2199, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_comes_back_as_the_same_one_in_utc(engine: Engine, moment: datetime) -> None:
    with engine.begin() as tx:
        tx.execute(insert(settings).values(name="x", value="", changed_at=moment))
        found = tx.execute(select(settings.c.changed_at)).scalar_one()
    assert found == moment
    assert found.tzinfo is UTC


def test_moments_compare_and_sort_as_they_follow_each_other(engine: Engine) -> None:
    with engine.begin() as tx:
        rows = [{"name": str(n), "value": "", "changed_at": moment} for n, moment in enumerate(MOMENTS)]
        tx.execute(insert(settings), rows)
        found = tx.execute(select(settings.c.changed_at).order_by(settings.c.changed_at)).scalars()
        assert list(found) == sorted(MOMENTS)
        older = delete(settings).where(settings.c.changed_at <= MOMENTS[1])
        assert tx.execute(older).rowcount == 2


def test_a_naive_moment_is_a_mistake(engine: Engine) -> None:
    naive = datetime(2026, 3, 2, 12)  # noqa: DTZ001  this is the mistake
    with engine.connect() as tx, pytest.raises((StatementError, TypeError)):
        tx.execute(insert(settings).values(name="x", value="", changed_at=naive))


def test_an_enum_comes_back_as_itself_and_lies_there_as_text(engine: Engine) -> None:
    with engine.begin() as tx:
        accept(tx, [make_acceptance()])
        assert tx.execute(select(recipients.c.state)).scalar_one() is RecipientState.OPEN
        assert tx.exec_driver_sql("SELECT state FROM recipients").scalar_one() == "open"


def test_a_word_that_is_no_state_is_refused(engine: Engine) -> None:
    with engine.connect() as tx, pytest.raises((StatementError, ValueError)):
        tx.execute(select(recipients).where(recipients.c.state == "lost"))


def test_true_and_false_come_back_as_such(engine: Engine) -> None:
    with engine.begin() as tx:
        accept(tx, [make_acceptance()])
        assert tx.execute(select(messages.c.smtputf8)).scalar_one() is False
