"""Opening every port once, in the parent, so that only the parent may need root.

A port stays open while a child is started anew: clients that come meanwhile wait a moment in the
kernel's queue instead of being refused.
"""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from relay.config import Config
from relay.supervisor.cannot_start import BAD_CONFIG, CANNOT_CREATE, NO_PERMISSION, CannotStart

_BACKLOG = 1024
_MOST_OPEN_FILES = 1_048_576

_SOCKETS = Mapping[str, tuple[socket.socket, ...]]


@dataclass(frozen=True, slots=True)
class Ports:
    """The open ports: those of each listener by its name, and the one of panel, API and metrics."""

    listeners: _SOCKETS
    admin: socket.socket

    def close_listeners(self) -> None:
        """Let go of the doors for mail: where no process holds them any more, clients are refused."""
        for sockets in self.listeners.values():
            for each in sockets:
                each.close()

    def numbers(self) -> dict[str, str]:
        """Return the port numbers of each listener, written as in the configuration: "25 1025-2024"."""
        return {name: " ".join(_ranges(sockets)) for name, sockets in self.listeners.items()}


def open_ports(config: Config) -> Ports:
    """Open every port of *config*.  Raises CannotStart, naming the port that cannot be had, and why."""
    _allow_many_open_files()
    taken: dict[tuple[str, int], str] = {}
    with ExitStack() as opened:  # if one cannot be had, the others are let go
        listeners = {
            listener.name: tuple(
                opened.enter_context(_open(listener.address, port, f'listener "{listener.name}"', taken))
                for port in listener.port_numbers()
            )
            for listener in config.listeners
        }
        admin = opened.enter_context(_open(*config.admin.address, "admin.listen", taken))
        opened.pop_all()
    return Ports(listeners, admin)


def _open(address: str, port: int, purpose: str, taken: dict[tuple[str, int], str]) -> socket.socket:
    if port and (address, port) in taken:
        raise CannotStart(f"Port {port} stands in {taken[address, port]} and in {purpose}.", BAD_CONFIG)
    taken[address, port] = purpose
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise CannotStart(f"{address} ({purpose}) is no address of this machine.", BAD_CONFIG) from None
    try:
        return _listening(family, place)
    except OSError as fault:
        raise _explained(fault, address, port, purpose) from None


def _listening(family: socket.AddressFamily, place: tuple[Any, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with suppress(OSError):  # "::" then takes IPv4 clients, too
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind(place)
        opened.listen(_BACKLOG)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _explained(fault: OSError, address: str, port: int, purpose: str) -> CannotStart:
    match fault.errno:
        case errno.EADDRINUSE:
            sentence = f"Port {port} ({purpose}) is already in use by another program on this machine."
            return CannotStart(sentence, CANNOT_CREATE)
        case errno.EACCES | errno.EPERM:
            sentence = (
                f"Port {port} ({purpose}) may not be opened by this user. Ports below 1024 want root: "
                'start as root with "user" set in the configuration, or grant CAP_NET_BIND_SERVICE.'
            )
            return CannotStart(sentence, NO_PERMISSION)
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return CannotStart(f"{address} ({purpose}) is no address of this machine.", BAD_CONFIG)
        case errno.EMFILE | errno.ENFILE:
            sentence = (
                f"Port {port} ({purpose}) is one open file more than the system grants: "
                "allow more (ulimit -n, LimitNOFILE), or listen on fewer ports."
            )
            return CannotStart(sentence, CANNOT_CREATE)
        case _:
            return CannotStart(f"Port {port} ({purpose}) cannot be opened: {fault.strerror}.", CANNOT_CREATE)


def _allow_many_open_files() -> None:
    """Use what the system grants: a thousand ports, and each client, are an open file each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _ranges(sockets: tuple[socket.socket, ...]) -> Iterator[str]:
    numbers = sorted(each.getsockname()[1] for each in sockets)
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *rest = [number for _, number in run]
        yield f"{first}-{rest[-1]}" if rest else str(first)
