"""The bell: "something changed, look now instead of within a second".

Each relay process of a node listens on a Unix datagram socket of its own, and whoever changed
something (the CLI, the panel) rings them all.  Law 3: a ring is a hint, the table is the truth; a
ring that nobody hears costs a second, never mail.  So whatever goes wrong here is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

_SUFFIX = ".bell"
_RING = b"!"
_LONGEST_ADDRESS = 100  # octets; a Unix socket's address holds 104 on macOS, 108 on Linux


class Bell:
    """One process's bell: calls *on_ring* on the loop once for any number of rings that came together."""

    def __init__(self, directory: Path, name: str, on_ring: Callable[[], None]) -> None:
        self._path = directory / f"{name}{_SUFFIX}"
        self._on_ring = on_ring
        self._socket: socket.socket | None = None

    def hang(self) -> None:
        """Begin to listen, in the place of a predecessor that is dead by construction."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.setblocking(False)
        with contextlib.suppress(OSError):
            self._path.unlink()
        try:
            with _address(self._path) as address:
                listening.bind(address)
        except OSError:
            listening.close()
            return
        self._socket = listening
        asyncio.get_running_loop().add_reader(listening, self._heard)

    def take_down(self) -> None:
        """Listen no more."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _heard(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket is not None and self._socket.recv(len(_RING)):
                pass
        self._on_ring()


def ring(directory: Path) -> None:
    """Ring every bell in *directory*; never raises, never waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        mouth.setblocking(False)
        for path in directory.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError), _address(path) as address:
                mouth.sendto(_RING, address)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """The address of *path*, by a detour where the path is too long for one.

    Linux shows an open directory as /proc/self/fd/N, which is always short; unlike a second place
    under /tmp or the abstract name space it keeps the directory's permissions, and unlike a
    change of the working directory it is no other thread's business.  Where there is no /proc, a
    long path has no bell.
    """
    plain = str(path)
    if len(os.fsencode(plain)) <= _LONGEST_ADDRESS:
        yield plain
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
