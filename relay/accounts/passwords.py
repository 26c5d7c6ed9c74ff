"""How a password is made, kept and compared: argon2id, never the password itself.

Blocking, and slow on purpose (about 20 ms and 19 MiB each): the event loop asks `verifier`.
"""

from __future__ import annotations

import secrets
import unicodedata

from passlib.context import CryptContext

# The parameters OWASP recommends for argon2id: 19 MiB of memory, two passes, one lane.
_CONTEXT = CryptContext(
    schemes=["argon2"],
    argon2__type="ID",
    argon2__memory_cost=19456,  # kibibytes
    argon2__time_cost=2,
    argon2__parallelism=1,
)
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none of l 1 I O 0 o
_GENERATED_LENGTH = 24  # of 55 signs: 138 bits
_MAX_LENGTH = 1024
LEAST_LENGTH = 8


class BadPassword(ValueError):
    """The password cannot be set; the message says why and never repeats it."""


def generate_password() -> str:
    """Return a new password that nobody can guess and nobody misreads."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_LENGTH))


def check_password(password: str) -> str:
    """Return *password* if an operator may set it.  Raises BadPassword."""
    if not LEAST_LENGTH <= len(password) <= _MAX_LENGTH:
        raise BadPassword(f"A password has {LEAST_LENGTH} to {_MAX_LENGTH} characters.")
    if not password.isprintable():
        raise BadPassword("A password holds no control characters: clients could not send it.")
    return password


def hash_password(password: str) -> str:
    """Return what to store of *password*."""
    hashed: str = _CONTEXT.hash(_composed(password))
    return hashed


def verify_password(password: str, hashed: str) -> bool:
    """Whether *password* is the one *hashed* was made of; as slow for any answer."""
    if not _is_possible(password):
        burn_time()
        return False
    return bool(_CONTEXT.verify(_composed(password), hashed))


def burn_time() -> None:
    """Take as long as a real comparison, so that an unknown user is answered no sooner than a known one."""
    _CONTEXT.dummy_verify()


def is_outdated(hashed: str) -> bool:
    """Whether *hashed* was made with other parameters than are in force now."""
    return bool(_CONTEXT.needs_update(hashed))


def _is_possible(password: str) -> bool:
    # The library raises for these; to a client they are simply wrong.
    return len(password) <= _MAX_LENGTH and "\0" not in password


def _composed(password: str) -> str:
    """The same sign typed on two systems is the same password (RFC 8265 §4.2.2)."""
    return password if password.isascii() else unicodedata.normalize("NFC", password)
