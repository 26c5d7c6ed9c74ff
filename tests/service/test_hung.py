"""A child whose loop stands still lives and does nothing: the parent ends it and begins another."""

import asyncio
import os
import signal
import time
from pathlib import Path

from relay.supervisor.children import Child, Orders, Word
from relay.supervisor.parent import Parent

_SECONDS = 30.0


def test_a_child_that_does_nothing_is_replaced(tmp_path: Path) -> None:
    lives = tmp_path / "lives"

    async def hangs_in_its_first_life(orders: Orders) -> None:
        stopping = asyncio.Event()
        orders.obey({Word.STOP: stopping.set})
        is_first = not lives.exists()
        orders.ready()
        with lives.open("a") as file:
            file.write("x")
        if is_first:
            time.sleep(2 * _SECONDS)  # noqa: ASYNC251  that is the point
        await stopping.wait()

    async def works(orders: Orders) -> None:
        stopping = asyncio.Event()
        orders.obey({Word.STOP: stopping.set})
        orders.ready()
        await stopping.wait()

    parent = os.fork()
    if parent == 0:
        relay = Child("relay-0", hangs_in_its_first_life, unneeded=())
        admin = Child("admin", works, unneeded=())
        node = Parent(relays=[relay], admin=admin, close_doors=lambda: None, grace=_SECONDS, patience=1.5)
        os._exit(node.run(when_ready=lambda: None))
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and not (lives.exists() and lives.stat().st_size > 1):
        time.sleep(0.05)
    os.kill(parent, signal.SIGTERM)
    _, status = os.waitpid(parent, 0)
    assert lives.stat().st_size > 1
    assert os.waitstatus_to_exitcode(status) == os.EX_OK
