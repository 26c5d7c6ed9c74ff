"""The parent of a node: opens what only it may open, starts the processes, keeps them alive.

Its way, in order: `preparation` (folders, lock, ports, key, certificate), `privileges`, `database`
(migrated, and filled with the demo if empty, in a child of its own), then `node` forks the relay
processes and the admin process and `parent` watches them.  `one_process` runs the same in one loop.
"""

from __future__ import annotations

import gc
import os
import signal
from types import FrameType

from relay.config import Config
from relay.supervisor.cannot_start import CannotStart
from relay.supervisor.memory import settle_memory
from relay.supervisor.preparation import METRICS_VARIABLE, prepare

__all__ = ["CannotStart", "serve"]


def serve(config: Config, *, in_one_process: bool = False) -> int:
    """Run a node until it is told to stop; return the exit code.

    `relay.log` must not have been imported before: see `preparation`.
    Raises CannotStart, a sentence for the operator with the exit code to end with.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)  # until there is something to stop in order
    gc.disable()  # what is loaded from here on stays for good: to search it for garbage only costs time
    settle_memory()
    prepared = prepare(config)
    if in_one_process:
        from relay.supervisor import one_process  # noqa: PLC0415  not before `prepare`, see above

        return one_process.run(prepared)
    os.environ[METRICS_VARIABLE] = str(prepared.metrics_directory)
    from relay.supervisor import node  # noqa: PLC0415  likewise

    return node.run(prepared)


def _end(_number: int, _frame: FrameType | None) -> None:
    """End as well as a relay that was stopped in order: no mail was taken yet, and nothing is open."""
    os._exit(os.EX_OK)
