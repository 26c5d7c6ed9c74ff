"""Who hears when that a message is still on its way."""

from datetime import timedelta
from typing import Any

import pytest

from relay.notify.lateness import late_at
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import make_envelope

HOUR = timedelta(hours=1)


def mark(*notify: str | None, settings: Settings | None = None, **facts: Any) -> object:
    envelope = make_envelope(recipients=[f"r{n}@example.net" for n, _ in enumerate(notify)], **facts)
    pairs = zip(envelope.recipients, notify, strict=True)
    asked = tuple(recipient._replace(notify=asked) for recipient, asked in pairs)
    return late_at(envelope._replace(recipients=asked), NOON, settings or Settings())


@pytest.mark.parametrize("notify", [("DELAY",), ("never", "failure,delay"), (None, "Delay,SUCCESS")])
def test_who_asks_for_it_hears_after_four_hours(notify: tuple[str | None, ...]) -> None:
    assert mark(*notify) == NOON + 4 * HOUR


@pytest.mark.parametrize("notify", [(None,), ("NEVER",), ("FAILURE,SUCCESS", None)])
def test_who_does_not_ask_hears_nothing(notify: tuple[str | None, ...]) -> None:
    assert mark(*notify) is None


def test_the_settings_may_say_otherwise() -> None:
    assert mark(None, settings=Settings(delay_notice_unasked=True)) == NOON + 4 * HOUR
    assert mark("FAILURE", settings=Settings(delay_notice_unasked=True)) is None
    assert mark("DELAY", settings=Settings(delay_notice_after=timedelta(0))) is None
    assert mark("DELAY", settings=Settings(delay_notice_after=HOUR)) == NOON + HOUR


def test_time_that_the_sender_wanted_to_pass_does_not_count() -> None:
    assert mark("DELAY", hold_until=NOON + 2 * HOUR) == NOON + 6 * HOUR
    assert mark("DELAY", hold_until=NOON - 2 * HOUR) == NOON + 4 * HOUR


@pytest.mark.parametrize("mode", ["N", "NT"])
def test_a_time_that_the_sender_set_goes_first(mode: str) -> None:
    assert mark("FAILURE", deliver_by=NOON + HOUR, by_mode=mode) == NOON + HOUR
    assert mark("NEVER", deliver_by=NOON + HOUR, by_mode=mode) is None
    assert mark("DELAY", deliver_by=NOON + HOUR, by_mode="R") == NOON + 4 * HOUR


def test_nobody_is_told_nothing() -> None:
    assert mark("DELAY", sender="") is None
