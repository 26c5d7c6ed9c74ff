"""SCRAM-SHA-256 (RFC 5802, RFC 7677): what is kept of a password, and how a proof is checked against it.

Whoever has these keys can try passwords a thousand times faster than argon2id lets him.  So they are
sealed with the node's key: a stolen database alone gives nothing to try.

All credentials of a user have one salt, made of its name under the same key: then a proof can be
compared with each of them, and a name that nobody has is answered as any other.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field

from relay.accounts.profile import BadAccount, fold_name
from relay.accounts.saslprep import CannotPrepare, saslprep
from relay.sealing import CannotUnseal, Sealer

ITERATIONS = 4096  # RFC 7677 §4 asks for as many; every client does them at each login
_SALT_OCTETS = 16


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """One password's keys (RFC 5802 §3)."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def proves(self, proof: bytes, auth_message: bytes) -> bool:
        """Whether *proof* was made with the password of these keys."""
        signature = _hmac(self.stored_key, auth_message)
        if len(proof) != len(signature):
            return False
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), self.stored_key)

    def signature(self, auth_message: bytes) -> bytes:
        """What proves to the client that we know these keys."""
        return _hmac(self.server_key, auth_message)


def keys_of(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """Make the keys of *password*; a millisecond or two.  Raises CannotPrepare."""
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return ScramKeys(salt, iterations, stored_key, _hmac(salted, b"Server Key"))


def salt_for(name: str, sealer: Sealer) -> bytes:
    """The salt of all credentials of *name*, whether or not there is such a user."""
    with suppress(BadAccount):  # nobody can have such a name, and it still has a salt
        name = fold_name(name)
    return sealer.fingerprint("scram salt", name)[:_SALT_OCTETS]


def nobodys_keys(name: str, sealer: Sealer) -> ScramKeys:
    """Keys that no password opens, for a name that nobody has."""
    void = sealer.fingerprint("scram void", name)
    return ScramKeys(salt_for(name, sealer), ITERATIONS, void, void)


def sealed_keys(name: str, password: str, sealer: Sealer) -> str | None:
    """What to store for user *name* beside the hash of *password*; None if SCRAM cannot carry it."""
    try:
        keys = keys_of(password, salt_for(name, sealer))
    except (CannotPrepare, UnicodeEncodeError):
        return None
    parts = (keys.salt, keys.stored_key, keys.server_key)
    text = " ".join([str(keys.iterations), *(b64encode(part).decode() for part in parts)])
    return sealer.seal(text).decode()


def unsealed_keys(sealed: str | None, sealer: Sealer) -> ScramKeys | None:
    """Read what `sealed_keys` wrote; None if there is nothing, or the key that sealed it is gone."""
    if sealed is None:
        return None
    try:
        iterations, *parts = sealer.unseal(sealed.encode()).split(" ")
    except CannotUnseal:
        return None
    salt, stored_key, server_key = (b64decode(part) for part in parts)
    return ScramKeys(salt, int(iterations), stored_key, server_key)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
