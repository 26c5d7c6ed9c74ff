"""Checkup of the ports: free if the relay does not run, answering if it does."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import closing

from relay.cli.checkups.finding import Finding, ok, problem
from relay.cli.desk import Desk
from relay.config import Config, Listener, TlsMode
from relay.places import host_and_port
from relay.supervisor.cannot_start import CannotStart
from relay.supervisor.ports import open_ports

_PATIENCE_SECONDS = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to knock, not where to listen


def ports(desk: Desk) -> Iterator[Finding]:
    """The ports of all listeners."""
    config = desk.config
    if is_running(config):
        for listener in config.listeners:
            yield _answer(listener)
        return
    try:
        opened = open_ports(config)
    except CannotStart as refusal:
        yield problem("ports", str(refusal))
        return
    opened.close_listeners()
    opened.admin.close()
    count = sum(len(listener.port_numbers()) for listener in config.listeners)
    yield ok("ports", f"The relay is not running; its {count} ports are free.")


def is_running(config: Config) -> bool:
    """Whether a relay holds the lock of this data directory."""
    try:
        file = os.open(config.data_dir / "run" / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def place_of(listener: Listener) -> tuple[str, int]:
    """Where to knock on a listener's first port from this machine; port 0: nobody knows."""
    return _EVERYWHERE.get(listener.address, listener.address), listener.port_numbers()[0]


def _answer(listener: Listener) -> Finding:
    host, port = place_of(listener)
    about, where = f"port {port}", host_and_port(host, port)
    if port == 0:
        return ok(about, f"{listener.name}: any free port, so there is nowhere to knock")
    try:
        with closing(socket.create_connection((host, port), _PATIENCE_SECONDS)) as knocking:
            greeting = b"220" if listener.tls is TlsMode.IMPLICIT else knocking.recv(3)
    except OSError as fault:
        return problem(about, f"{listener.name}: the relay runs, but {where} does not answer ({fault}).")
    if greeting != b"220":
        return problem(about, f"{listener.name}: somebody answers on {where}, but not as a mail server.")
    return ok(about, f"{listener.name}: answers")
