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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

from relay import log
from relay.accounts import passwords
from relay.accounts.credentials import Login, Rehash, Secret, load_login, rehash
from relay.clock import Clock
from relay.db.engine import Database
from relay.policy.submission import User

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


class Verifier:
    """Decides whether a name and a password belong together.

    Made and used on one event loop.  `forget` must be called whenever the accounts changed.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        lifetime: timedelta = _LIFETIME,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ticks = ticks
        self._lifetime = lifetime.total_seconds()
        self._key = os.urandom(32)
        self._remembered: dict[bytes, tuple[User, float]] = {}
        self._running: dict[bytes, asyncio.Task[Verdict]] = {}
        self._rehashing: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        # The first one is slower, and would tell an unknown user from a known one
        self._threads.submit(passwords.burn_time)

    def cached(self, name: str, password: str) -> User | None:
        """The user, if it proved itself with these very words a moment ago; never waits."""
        return self._recall(self._digest(name, password))

    async def verify(self, name: str, password: str) -> Verdict:
        """Decide.  Takes the same time for an unknown user, a wrong password and an inactive user.

        Raises TooManyLogins, or what the database raises when it is gone; neither says anything about
        the password, so the client is told to try again (454 4.7.0, RFC 4954 §6).
        """
        digest = self._digest(name, password)
        if (user := self._recall(digest)) is not None:
            return Verdict(user)
        task = self._running.get(digest)
        if task is None:
            # Many connections of one program log in at the same moment: they are compared once.
            if len(self._running) >= _MAX_WAITING:
                raise TooManyLogins("too many logins at once")
            task = asyncio.create_task(self._decide(digest, name, password))
            self._running[digest] = task
            task.add_done_callback(lambda done: self._finished(digest, done))
        return await asyncio.shield(task)

    def forget(self) -> None:
        """The accounts changed: believe nobody who was compared before, or is being compared now."""
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

    async def _decide(self, digest: bytes, name: str, password: str) -> Verdict:
        login = await self._db.read(load_login, name, self._clock.now())
        loop = asyncio.get_running_loop()
        secret = await loop.run_in_executor(self._threads, _matching, login, password)
        if login is None:
            return Verdict(None, "unknown user")
        if secret is None:
            return Verdict(None, "wrong password")
        if not login.is_active:
            return Verdict(None, "inactive user")
        user = replace(login.user, credential_id=secret.credential_id)
        if self._running.get(digest) is asyncio.current_task():  # nothing changed meanwhile
            self._remember(digest, user)
        if passwords.is_outdated(secret.password_hash):
            self._rehash_later(secret, password)
        return Verdict(user)

    def _finished(self, digest: bytes, done: asyncio.Task[Verdict]) -> None:
        if self._running.get(digest) is done:
            del self._running[digest]
        if not done.cancelled():
            done.exception()  # whoever still waits is told; if all hung up, nobody need be

    def _recall(self, digest: bytes) -> User | None:
        found = self._remembered.get(digest)
        return found[0] if found is not None and self._ticks() < found[1] else None

    def _remember(self, digest: bytes, user: User) -> None:
        while len(self._remembered) >= _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered.pop(digest, None)  # so that it goes to the end: the oldest stand first
        self._remembered[digest] = (user, self._ticks() + self._lifetime)

    def _rehash_later(self, secret: Secret, password: str) -> None:
        task = asyncio.create_task(self._rehash(secret, password))
        self._rehashing.add(task)
        task.add_done_callback(self._rehashing.discard)

    async def _rehash(self, secret: Secret, password: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            fresh = await loop.run_in_executor(self._threads, passwords.hash_password, password)
            await self._db.write(rehash, Rehash(secret.credential_id, secret.password_hash, fresh))
        except Exception as fault:  # noqa: BLE001  the login itself went well, and the next one tries again
            log.fault("rehash", fault)


def _matching(login: Login | None, password: str) -> Secret | None:
    """The secret of *login* that *password* opens."""
    if login is None or not login.secrets:
        passwords.burn_time()
        return None
    return next((s for s in login.secrets if passwords.verify_password(password, s.password_hash)), None)
