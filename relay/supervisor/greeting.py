"""What the operator is told when everything runs."""

from __future__ import annotations

import sys

from relay import __version__, log
from relay.first_run import short_welcome, welcome
from relay.supervisor.preparation import Prepared


def greet(prepared: Prepared, demo_password: str | None) -> None:
    """Say, once, that the node is ready: an event for the log, and words for a human.

    The words go to standard error, so that standard output is the log and nothing else.
    """
    ports = prepared.ports.numbers()
    admin = "{}:{}".format(*prepared.ports.admin.getsockname()[:2])
    if demo_password is None:
        words = short_welcome(prepared.config, ports=ports, admin=admin)
    else:
        words = welcome(prepared.config, ports=ports, admin=admin, password=demo_password)
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
    log.started(process="supervisor", version=__version__, listeners=ports, admin=admin)
    log.flush()
