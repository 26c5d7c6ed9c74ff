"""A node in one process and one loop (`--in-one-process`): for tests, debuggers and tiny machines."""

from __future__ import annotations

import asyncio
import os
import signal

from relay import log
from relay.admin.house import Condition
from relay.admin.server import run_admin
from relay.service import run_relay
from relay.supervisor.database import make_ready
from relay.supervisor.greeting import greet
from relay.supervisor.preparation import Prepared
from relay.supervisor.sd_notify import sd_notify
from relay.supervisor.work import post_of, settle_garbage


def run(prepared: Prepared) -> int:
    """Run the whole node until told to stop; return the exit code.

    Raises CannotStart if the database cannot be used.
    """
    config = prepared.config
    log.configure(style=config.log.format, level=config.log.level, node=config.node)
    demo_password = make_ready(config)
    asyncio.run(_run(prepared, demo_password))
    log.flush()
    return os.EX_OK


async def _run(prepared: Prepared, demo_password: str | None) -> None:
    condition = Condition()
    stopping, renewing, mail_is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(os.EX_SOFTWARE)  # told twice: at once
        condition.is_draining = True
        sd_notify("STOPPING=1")
        stopping.set()

    def ready() -> None:
        settle_garbage()
        condition.is_mail_up = True
        sd_notify("READY=1")
        greet(prepared, demo_password)

    async def mail() -> None:
        try:
            await run_relay(
                post_of(prepared, 0, is_alone=True), ready=ready, stopping=stopping, renewing=renewing
            )
        finally:
            mail_is_over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, renewing.set)
    async with asyncio.TaskGroup() as house:
        house.create_task(mail())
        house.create_task(
            run_admin(
                prepared.config, prepared.ports.admin, condition, ready=lambda: None, stopping=mail_is_over
            )
        )
