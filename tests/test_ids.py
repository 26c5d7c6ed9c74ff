"""Ids: unique, and in the order of their making."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.ids import id_source, moment_of

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
moments = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001  Hypothesis wants its bounds without a zone
    datetime(9999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
steps = st.lists(st.timedeltas(timedelta(seconds=-2), timedelta(seconds=2)), max_size=50)


class Loaded(Random):
    """Dice that always show the same."""

    def __init__(self, shown: int) -> None:
        super().__init__()
        self._shown = shown

    def getrandbits(self, _bits: int, /) -> int:
        return self._shown


def test_an_id_is_written_as_the_specification_of_ulids_says() -> None:
    assert id_source(Loaded(0))(datetime.fromtimestamp(1469922850.259, UTC)) == "01ARZ3NDEK" + "0" * 16
    assert id_source(Loaded((1 << 80) - 1))(datetime(1970, 1, 1, tzinfo=UTC)) == "0" * 10 + "Z" * 16


@given(moments, st.integers())
def test_an_id_tells_when_it_was_made(moment: datetime, seed: int) -> None:
    made = id_source(Random(seed))(moment)
    assert len(made) == 26
    assert moment_of(made) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize("text", ["", "01ARZ3NDEK", "x" * 26, "U" * 26, "01ARZ3NDEK" + "0" * 17])
def test_what_is_no_id_tells_nothing(text: str) -> None:
    with pytest.raises(ValueError):
        moment_of(text)


@given(steps, st.integers())
def test_ids_rise_whatever_the_clock_does(steps: list[timedelta], seed: int) -> None:
    new_id, now, made = id_source(Random(seed)), NOON, []
    for step in steps:
        now += step
        made.append(new_id(now))
    assert made == sorted(set(made))


def test_two_processes_make_different_ids() -> None:
    one, other = id_source(), id_source()
    assert not {one(NOON) for _ in range(1000)} & {other(NOON) for _ in range(1000)}
