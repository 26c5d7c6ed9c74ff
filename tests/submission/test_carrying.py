"""What a coroutine may wait for when no task carries it."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from relay.submission.carrying import call_when_done


class Carried:
    """A coroutine on its way, as the door carries one."""

    def __init__(self, work: Coroutine[Any, Any, str]) -> None:
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._go_on(work, None)

    def _go_on(self, work: Coroutine[Any, Any, str], _done: Any) -> None:
        try:
            waited_for = work.send(None)
        except StopIteration as end:
            self.end.set_result(end.value)
        except ValueError as fault:
            self.end.set_exception(fault)
        else:
            call_when_done(asyncio.get_running_loop(), waited_for, partial(self._go_on, work))


async def test_it_goes_on_after_a_turn_of_the_loop_a_pause_a_future_and_a_task() -> None:
    async def task() -> str:
        await asyncio.sleep(0.001)
        return "done"

    async def work(future: asyncio.Future[str]) -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return await future + await asyncio.shield(asyncio.create_task(task()))

    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    carried = Carried(work(future))
    asyncio.get_running_loop().call_later(0.01, future.set_result, "all ")
    assert await carried.end == "all done"


async def test_a_fault_of_what_is_waited_for_reaches_it() -> None:
    async def work(future: asyncio.Future[str]) -> str:
        return await future

    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    carried = Carried(work(future))
    future.set_exception(ValueError("gone"))
    with pytest.raises(ValueError, match="gone"):
        await carried.end


async def test_many_may_wait_for_the_same() -> None:
    async def work(future: asyncio.Future[str]) -> str:
        return await future

    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    first, second = Carried(work(future)), Carried(work(future))
    third = asyncio.create_task(work(future))
    asyncio.get_running_loop().call_soon(future.set_result, "told")
    assert [await first.end, await second.end, await third] == ["told"] * 3
