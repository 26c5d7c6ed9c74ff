"""A child ends when its work is over or has failed, whatever else still runs in it."""

import asyncio
import os
import time
from contextlib import suppress

import pytest

from relay.supervisor.children import Child, Orders

_SECONDS = 20.0


async def never_ends() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def works(_: Orders) -> None:
    asyncio.get_running_loop().stubborn = asyncio.create_task(never_ends())  # type: ignore[attr-defined]
    await asyncio.sleep(0)


async def fails(orders: Orders) -> None:
    await works(orders)
    raise ConnectionError("there is nothing left to work with")


@pytest.mark.parametrize(("work", "code"), [(works, os.EX_OK), (fails, os.EX_SOFTWARE)])
def test_a_child_ends_with_its_work(work: object, code: int) -> None:
    child = Child("test", work, unneeded=())  # type: ignore[arg-type]
    child.begin(())
    assert child.pid is not None
    assert child.channel is not None
    until = time.monotonic() + _SECONDS
    ended = 0
    while not ended and time.monotonic() < until:
        ended, status = os.waitpid(child.pid, os.WNOHANG)
        time.sleep(0.01)
    child.channel.close()
    if not ended:
        child.kill()
        os.waitpid(child.pid, 0)
    assert ended, "a task that does not heed its cancellation keeps the process alive"
    assert os.waitstatus_to_exitcode(status) == code
