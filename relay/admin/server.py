"""Running the application on a socket that is already open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from relay import log
from relay.admin.app import build
from relay.admin.house import Condition, House
from relay.config import Config
from relay.db.database import Database
from relay.db.engine import open_engine
from relay.db.storage import Storage
from relay.places import host_and_port

_MOST_REQUESTS = 200  # at once; more are told 503 and cannot eat the machine's memory
_CLOSING_SECONDS = 3


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: when to stop is the supervisor's business."""

    def __init__(self, config: uvicorn.Config, when_open: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_open = when_open

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so."""
        await super().startup(sockets)
        self._when_open()

    async def on_tick(self, counter: int) -> bool:
        """Let what was logged be seen: uvicorn calls this ten times a second."""
        log.flush()
        return await super().on_tick(counter)


async def run_admin(
    config: Config,
    open_socket: socket.socket,
    condition: Condition,
    *,
    ready: Callable[[], None],
    stopping: asyncio.Event,
) -> None:
    """Serve the panel, the API and the metrics on *open_socket* until *stopping* is set.

    *ready* is called when the first request can be answered.
    """

    def when_open() -> None:
        log.started(process="admin", pid=os.getpid(), address=host_and_port(*open_socket.getsockname()[:2]))
        log.flush()
        ready()

    db = Database(open_engine(config.database_url))
    app = build(House(config, db, condition, storage=Storage.under(db.engine)))
    server = _Server(_settings(app), when_open)
    serving = asyncio.create_task(server.serve(sockets=[open_socket]), name="admin")
    waiting = asyncio.create_task(stopping.wait(), name="stopping")
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    server.should_exit = True
    await serving
    await db.close()
    log.stopping(process="admin", step="closed")


def _settings(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,  # its lines come out like ours
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who may see the metrics is asked of the connection, not of a header
        limit_concurrency=_MOST_REQUESTS,
        timeout_graceful_shutdown=_CLOSING_SECONDS,
    )
