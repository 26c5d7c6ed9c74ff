"""Which tracebacks the log holds."""

from datetime import timedelta

import pytest

from relay.log_lines import Tracebacks
from tests.kit.clock import HandClock


def failed(words: str) -> OSError:
    with pytest.raises(OSError) as failure:
        raise OSError(words)
    return failure.value


def test_a_traceback_is_told_again_after_a_minute_and_at_once_for_another_fault(clock: HandClock) -> None:
    tracebacks = Tracebacks(lambda: clock.now().timestamp())
    elsewhere = OSError("the disk is gone")
    assert "OSError: the disk is gone" in (tracebacks.of("door", failed("the disk is gone")) or "")
    for again in (failed("the disk is full"), elsewhere):
        assert tracebacks.of("door", again) is not None
        assert tracebacks.of("door", again) is None
    clock.turn(timedelta(seconds=59))
    assert tracebacks.of("door", failed("the disk is gone")) is None
    clock.turn(timedelta(seconds=1))
    assert tracebacks.of("door", failed("the disk is gone")) is not None


def test_faults_that_are_never_the_same_are_all_told(clock: HandClock) -> None:
    tracebacks = Tracebacks(lambda: clock.now().timestamp())
    assert all(tracebacks.of("door", failed(str(number))) for number in range(1000))
