"""A coroutine is carried on without a task, which would cost more than most commands do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def call_when_done(loop: asyncio.AbstractEventLoop, waited_for: Any, go_on: Callable[[Any], object]) -> None:
    """Have *go_on* called once that is done for which a coroutine came to wait, so that it can be sent on.

    That is a future, or None if the loop is only to have a turn.  What asks for the running task cannot be
    waited for in this manner, as asyncio.timeout does: it belongs in a task of its own.
    """
    if waited_for is None:
        loop.call_soon(go_on, None)
    else:
        waited_for._asyncio_future_blocking = False  # noqa: SLF001  as a task says: it is heard
        waited_for.add_done_callback(go_on)
