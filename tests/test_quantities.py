"""Durations and numbers as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from relay.quantities import LONGEST, read_duration, render_duration


def test_a_duration_is_read_in_its_units() -> None:
    assert read_duration("1d 12h") == timedelta(hours=36)
    assert read_duration("0") == read_duration("0s") == timedelta(0)


@pytest.mark.parametrize("written", ["36501d", "99999999d", "999999999999d", f"{'9' * 400}d"])
def test_what_is_longer_than_any_calendar_is_cut_to_what_a_date_can_bear(written: str) -> None:
    duration = read_duration(written)
    assert duration == LONGEST
    assert datetime.now(UTC) - duration < datetime.now(UTC) + 2 * duration
    assert read_duration(render_duration(duration)) == duration


@pytest.mark.parametrize("written", ["", "5", "-5m", "1x", "1h and more"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_duration(written)
