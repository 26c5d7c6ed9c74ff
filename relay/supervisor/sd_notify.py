"""Telling systemd how we are (Type=notify); nothing where nobody asked."""

import os
import socket
from contextlib import suppress


def sd_notify(state: str) -> None:
    """Send *state* ("READY=1") to whoever started us and wants to know."""
    if place := os.environ.get("NOTIFY_SOCKET"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.connect(f"\0{place[1:]}" if place.startswith("@") else place)
            mouth.sendall(state.encode())
