"""A node as it usually runs: a parent, its relay processes, and one admin process."""

from __future__ import annotations

import gc

from relay import log
from relay.supervisor.children import Child
from relay.supervisor.database import begin_apart
from relay.supervisor.greeting import greet
from relay.supervisor.parent import Parent
from relay.supervisor.preparation import Prepared


def run(prepared: Prepared) -> int:
    """Start the processes of this node and keep them until told to stop; return the exit code.

    Raises CannotStart if the database cannot be used.
    """
    config = prepared.config
    log.configure(style=config.log.format, level=config.log.level, node=config.node, process="parent")
    database_is_ready = begin_apart(config)
    from relay.supervisor import work  # noqa: PLC0415  loads the whole house while the database is prepared

    demo_password = database_is_ready()
    ports = prepared.ports
    relays = [
        Child(f"relay-{index}", work.relay(prepared, index), unneeded=[ports.admin])
        for index in range(number_of_relays(prepared))
    ]
    doors = [each for sockets in ports.listeners.values() for each in sockets]
    parent = Parent(
        relays=relays,
        admin=Child("admin", work.admin(prepared), unneeded=doors),
        close_doors=ports.close_listeners,
        grace=config.processes.stop_seconds,
    )
    gc.collect()
    gc.freeze()  # so that no child touches, and thereby copies, what all of them share
    gc.enable()
    return parent.run(when_ready=lambda: greet(prepared, demo_password))


def number_of_relays(prepared: Prepared) -> int:
    """One on SQLite, which has one writer; what the configuration says on PostgreSQL."""
    return 1 if prepared.config.is_embedded else prepared.config.processes.relay
