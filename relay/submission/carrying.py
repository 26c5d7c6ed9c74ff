"""From a coroutine that was begun without a task to one that has it: most commands never need a task."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any


@types.coroutine
def carry_on(answering: Coroutine[Any, Any, Any], first: Any) -> Generator[Any, Any, Any]:
    """Let a task take over a coroutine that was begun without one and came to wait for *first*."""
    yield first
    return (yield from answering.__await__())
