"""What must live on: a task that fails is told of, and begun again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from relay import log
from relay.clock import Clock

_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=0.2), timedelta(seconds=10)
_LONG_LIFE = timedelta(minutes=1)


async def keep_alive(name: str, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Do *work* until it returns; if it fails, log that and begin it anew, after a growing wait.

    A task group would end all its tasks when one fails: here a fault in the janitor costs no mail.
    *name* is one of few words, for it labels a metric.
    """
    wait = _FIRST_WAIT
    while True:
        begun_at = clock.now()
        try:
            await work()
        except Exception as fault:  # noqa: BLE001  whatever it is, the task begins anew
            log.fault(name, fault)
        else:
            return
        if clock.now() - begun_at > _LONG_LIFE:
            wait = _FIRST_WAIT
        await clock.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
