"""Secrets at rest: sealed with the node's key, so that a stolen database gives none away."""

from __future__ import annotations

import hmac
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class CannotUnseal(ValueError):
    """A stored secret was sealed with a key that is not in the key file (any more)."""


class Sealer:
    """Seals with the first key of the key file and opens with any of them, so keys can be rotated."""

    def __init__(self, keys: list[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._oldest = keys[-1]

    def __repr__(self) -> str:
        return "Sealer(***)"

    def seal(self, secret: str) -> bytes:
        """Make *secret* safe to store."""
        return self._fernet.encrypt(secret.encode())

    def unseal(self, sealed: bytes) -> str:
        """Return the secret.  Raises CannotUnseal if no key of ours opens it."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise CannotUnseal(
                "a stored secret cannot be opened with the keys in the key file; enter it anew"
            ) from None

    def fingerprint(self, purpose: str, text: str) -> bytes:
        """32 octets that depend on *text* and that nobody without the key file can foretell.

        The same for as long as the oldest key stays, so that a new key in front changes none.
        """
        words = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._oldest, words, "sha256")


def load_or_make(path: Path) -> Sealer:
    """Read the key file (one key a line, the newest first), making it with mode 0600 if there is none.

    Raises OSError if it cannot be read or made, ValueError if it holds no usable key.
    """
    if not path.exists():
        _make(path)
    keys = path.read_bytes().split()
    if not keys:
        raise ValueError(f"{path} holds no key")
    return Sealer(keys)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A name that nobody has: a start that was killed here left its file, under our process id in a container
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())  # before anything is committed that only it can open
        with suppress(FileExistsError):
            os.link(fresh, path)  # unlike a rename, never overwrites a key made meanwhile
    finally:
        Path(fresh).unlink()
    _sync_names(path.parent)


def _sync_names(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exposed(path: Path) -> str | None:
    """Say how the secret in *path* can be read by whom it should not be, and what to do; None: it cannot."""
    return _exposed(path, to=0o077, mend="chmod 600")


def exposed_tls_key(path: Path) -> str | None:
    """The same of a private key of TLS, which may be its group's as well: so several programs share one."""
    return _exposed(path, to=0o007, mend="chmod o=")


def _exposed(path: Path, *, to: int, mend: str) -> str | None:
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{path} can be read by others (mode {mode:o}): {mend} {path}" if mode & to else None
