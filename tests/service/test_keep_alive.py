"""Tasks that live on."""

import asyncio
from datetime import timedelta

import pytest

from relay.service.keep_alive import keep_alive
from tests.kit.clock import HandClock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_task_that_fails_begins_anew_after_a_wait(clock: HandClock) -> None:
    lives: list[int] = []

    async def work() -> None:
        lives.append(len(lives))
        if len(lives) < 3:
            raise RuntimeError("broken")

    task = asyncio.create_task(keep_alive("work", work, clock))
    await settle()
    assert len(lives) == 1
    clock.turn(timedelta(seconds=0.2))
    await settle()
    assert len(lives) == 2
    clock.turn(timedelta(seconds=0.2))
    await settle()
    assert len(lives) == 2, "the second wait is longer than the first"
    clock.turn(timedelta(seconds=0.2))
    await task
    assert len(lives) == 3


async def test_the_wait_is_never_long(clock: HandClock) -> None:
    lives: list[int] = []

    async def work() -> None:
        lives.append(len(lives))
        raise RuntimeError("broken")

    task = asyncio.create_task(keep_alive("work", work, clock))
    for _ in range(20):
        await settle()
        clock.turn(timedelta(seconds=10))
    await settle()
    assert len(lives) == 21
    task.cancel()


async def test_a_task_that_is_cancelled_ends(clock: HandClock) -> None:
    task = asyncio.create_task(keep_alive("work", asyncio.Event().wait, clock))  # type: ignore[arg-type]
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
