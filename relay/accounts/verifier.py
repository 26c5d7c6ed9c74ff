"""Who is at the door?  Asked once for every AUTH, so it must be quick, and bounded when it cannot be.

A comparison takes about 20 ms of a processor and 19 MiB, on purpose.  So at most two run at once,
at most a few hundred may wait, and who proved itself within the last minute is remembered: under a
keyed digest of name and password, with a key that only this process has and never writes down.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from relay import log
from relay.accounts import passwords
from relay.accounts.credentials import (
    FirstKeys,
    Login,
    Rehash,
    Secret,
    keep_first_keys,
    load_login,
    rehash,
)
from relay.accounts.proofs import UNKNOWN_USER, WRONG_PASSWORD, Proofs, proofs_of, refusal
from relay.accounts.saslprep import CannotPrepare
from relay.accounts.scram import ScramKeys, keys_of, salt_for, sealed_keys, unsealed_keys
from relay.clock import Clock
from relay.db.database import Database
from relay.policy.submission import User
from relay.sealing import Sealer

_THREADS = 2
_MAX_WAITING = 256  # with two threads, the last of them waits about three seconds
_MAX_REMEMBERED = 10_000
_LIFETIME = timedelta(seconds=60)


class TooManyLogins(Exception):
    """More logins are waiting to be compared than could be answered in time: the client should try later."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The user, or why not; `why` is for the log and never for the client."""

    user: User | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Opened:
    """The user, and the secrets that a password opened, wherever its client is: several may have it."""

    login: Login
    secrets: tuple[Secret, ...]

    def verdict_for(self, peer: str) -> Verdict:
        secret = next((secret for secret in self.secrets if secret.is_good_from(peer)), None)
        if why := refusal(self.login, is_good_here=secret is not None):
            return Verdict(None, why)
        assert secret is not None, "or there would be a refusal"
        return Verdict(replace(self.login.user, credential_id=secret.credential_id))


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Who proved itself a moment ago, by each secret that it did so with, and until when that is believed."""

    users: tuple[tuple[Secret, User], ...]
    until: float


class Verifier:
    """Decides whether a name and a password belong together.

    Made and used on one event loop.  `forget` must be called whenever the accounts changed.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sealer: Sealer,
        *,
        lifetime: timedelta = _LIFETIME,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._clock = clock
        self._sealer = sealer
        self._ticks = ticks
        self._lifetime = lifetime.total_seconds()
        self._key = os.urandom(32)
        self._generation = 0
        self._remembered: dict[bytes, _Remembered] = {}
        self._running: dict[bytes, asyncio.Task[_Opened | str]] = {}
        self._rehashing: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        # The first one is slower, and would tell an unknown user from a known one
        self._threads.submit(passwords.burn_time)

    def cached(self, name: str, password: str, peer: str = "") -> User | None:
        """The user, if it proved itself with these very words a moment ago; never waits."""
        return self._recall(self._digest(name, password), peer)

    async def verify(self, name: str, password: str, peer: str = "") -> Verdict:
        """Decide.  Takes the same time for an unknown user, a wrong password and an inactive user.

        Raises TooManyLogins, or what the database raises when it is gone; neither says anything about
        the password, so the client is told to try again (454 4.7.0, RFC 4954 §6).
        """
        digest = self._digest(name, password)
        if (user := self._recall(digest, peer)) is not None:
            return Verdict(user)
        generation = -1
        while generation != self._generation:  # what was changed meanwhile counts
            generation = self._generation
            opened = await self._open(digest, name, password)
        return Verdict(None, opened) if isinstance(opened, str) else opened.verdict_for(peer)

    async def known(self, name: str) -> Verdict:
        """Decide about a user for whom somebody else vouches.  Raises what the database raises."""
        generation = -1
        while generation != self._generation:  # as above
            generation = self._generation
            login = await self._db.read(load_login, name, self._clock.now())
        if login is None:
            return Verdict(None, UNKNOWN_USER)
        why = refusal(login, is_good_here=True)
        return Verdict(None, why) if why else Verdict(login.user)

    async def proofs(self, name: str, peer: str) -> Proofs:
        """Read what a SCRAM proof of *name* is compared with.  Raises what the database raises."""
        generation = self._generation
        login = await self._db.read(load_login, name, self._clock.now())
        return proofs_of(login, name, peer=peer, sealer=self._sealer, generation=generation)

    def is_current(self, proofs: Proofs) -> bool:
        """Whether the accounts are still as they were when *proofs* were read."""
        return proofs.generation == self._generation

    def forget(self) -> None:
        """The accounts changed: believe nobody who was compared before, or is being compared now."""
        self._generation += 1
        self._remembered.clear()
        self._running.clear()

    async def close(self) -> None:
        """Let what is being compared end, then give back the threads."""
        await asyncio.gather(*self._running.values(), *self._rehashing, return_exceptions=True)
        self._threads.shutdown(wait=False)

    # ------------------------------------------------------------------------------------------

    def _digest(self, name: str, password: str) -> bytes:
        # The NUL cannot stand in either, so that "a"+"bc" is not "ab"+"c"
        words = f"{name}\0{password}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(words, key=self._key, digest_size=32).digest()

    async def _open(self, digest: bytes, name: str, password: str) -> _Opened | str:
        task = self._running.get(digest)
        if task is None:
            # Many connections of one program log in at the same moment: they are compared once.
            if len(self._running) >= _MAX_WAITING:
                raise TooManyLogins("too many logins at once")
            task = asyncio.create_task(self._decide(digest, name, password))
            self._running[digest] = task
            task.add_done_callback(lambda done: self._finished(digest, done))
        return await asyncio.shield(task)

    async def _decide(self, digest: bytes, name: str, password: str) -> _Opened | str:
        """What *password* opens, or why nothing."""
        login = await self._db.read(load_login, name, self._clock.now())
        loop = asyncio.get_running_loop()
        secrets = await loop.run_in_executor(self._threads, _matching, login, name, password, self._sealer)
        if login is None:
            return UNKNOWN_USER
        if not secrets:
            return WRONG_PASSWORD
        if login.is_active and self._running.get(digest) is asyncio.current_task():  # nothing changed
            self._remember(digest, login.user, secrets)
        for secret in secrets:
            if passwords.is_outdated(secret.password_hash):
                self._later(self._rehash(secret, password))
            elif unsealed_keys(secret.scram_keys, self._sealer) is None:
                self._later(self._make_keys(secret, name, password))
        return _Opened(login, secrets)

    def _finished(self, digest: bytes, done: asyncio.Task[_Opened | str]) -> None:
        if self._running.get(digest) is done:
            del self._running[digest]
        if not done.cancelled():
            done.exception()  # whoever still waits is told; if all hung up, nobody need be

    def _recall(self, digest: bytes, peer: str) -> User | None:
        found = self._remembered.get(digest)
        if found is None or self._ticks() >= found.until:
            return None
        return next((user for secret, user in found.users if secret.is_good_from(peer)), None)

    def _remember(self, digest: bytes, user: User, secrets: tuple[Secret, ...]) -> None:
        while len(self._remembered) >= _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered.pop(digest, None)  # so that it goes to the end: the oldest stand first
        lifetime = self._lifetime
        for ends in (secret.expires_at for secret in secrets if secret.expires_at is not None):
            lifetime = min(lifetime, (ends - self._clock.now()).total_seconds())
        users = tuple((secret, replace(user, credential_id=secret.credential_id)) for secret in secrets)
        self._remembered[digest] = _Remembered(users, self._ticks() + lifetime)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._rehashing.add(task)
        task.add_done_callback(self._rehashing.discard)

    async def _make_keys(self, secret: Secret, name: str, password: str) -> None:
        """Let a credential have SCRAM that has no keys yet, or some that cannot be unsealed any more."""
        loop = asyncio.get_running_loop()
        try:
            keys = await loop.run_in_executor(self._threads, sealed_keys, name, password, self._sealer)
            if keys is not None:
                kept = FirstKeys(secret.credential_id, secret.password_hash, keys)
                await self._db.write(keep_first_keys, kept)
        except Exception as fault:  # noqa: BLE001  as below
            log.fault("rehash", fault)

    async def _rehash(self, secret: Secret, password: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            fresh = await loop.run_in_executor(self._threads, passwords.hash_password, password)
            await self._db.write(rehash, Rehash(secret.credential_id, secret.password_hash, fresh))
        except Exception as fault:  # noqa: BLE001  the login itself went well, and the next one tries again
            log.fault("rehash", fault)


def _matching(login: Login | None, name: str, password: str, sealer: Sealer) -> tuple[Secret, ...]:
    """The secrets of *login* that *password* opens.

    One slow comparison, however many credentials there are, unless several have that very password: the
    quicker SCRAM keys say which to compare.
    """
    keys = _keys_of(name, password, sealer)
    likely = [] if login is None else [s for s in login.secrets if _may_fit(s, keys, sealer)]
    if not likely:
        passwords.burn_time()
        return ()
    return tuple(s for s in likely if passwords.verify_password(password, s.password_hash))


def _keys_of(name: str, password: str, sealer: Sealer) -> ScramKeys | None:
    try:
        return keys_of(password, salt_for(name, sealer))
    except (CannotPrepare, UnicodeEncodeError):
        return None


def _may_fit(secret: Secret, keys: ScramKeys | None, sealer: Sealer) -> bool:
    known = unsealed_keys(secret.scram_keys, sealer)
    if known is None:
        return True  # they cannot tell
    if keys is None:
        return False  # a password that SCRAM cannot carry has none
    is_comparable = (known.salt, known.iterations) == (keys.salt, keys.iterations)
    return known == keys or not is_comparable
