"""The issuer of access tokens: its public keys, from a file or from where it publishes them.

They are read aside, in a thread, within a bounded time and size, and kept: nobody who logs in waits for
the issuer but the first, and those who come with a key that we have not seen.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from relay import log
from relay.accounts.tokens import BadKeys, Key, Terms, key_id, read_keys, user_named_in
from relay.config import OAuthSection

MAX_OCTETS = 256 * 1024
FETCH_SECONDS = 5.0
# Keys are read anew after ten minutes, so that one that was withdrawn is soon good for nothing; for a key
# that is not among them at once, but twice a minute at most, for anybody can invent one.  While the issuer
# is away, the keys it had are believed for a day.
_FRESH_SECONDS = 600.0
_AGAIN_SECONDS = 30.0
_LAST_SECONDS = 24 * 3600.0


class KeysUnavailable(Exception):
    """The issuer's keys cannot be read; that says nothing about any token."""


class Issuer:
    """Knows whom a token of one issuer speaks for.  Made and used on one event loop."""

    def __init__(
        self, terms: Terms, read: Callable[[], bytes], *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._terms = terms
        self._read = read
        self._ticks = ticks
        self._keys: tuple[Key, ...] = ()
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def user_named_in(self, token: str, now: datetime) -> str:
        """Return the name of the user that *token* speaks for.  Raises BadToken and KeysUnavailable."""
        named = key_id(token)
        if self._should_read(named):
            await self._renewed()
        if not self._keys or self._ticks() >= self._read_at + _LAST_SECONDS:
            raise KeysUnavailable("the keys of the issuer of tokens could not be read")
        return user_named_in(token, self._keys, self._terms, now)

    def _should_read(self, named: str | None) -> bool:
        now = self._ticks()
        if now < self._tried_at + _AGAIN_SECONDS and self._reading is None:
            return False
        is_known = named is None or any(key.id == named for key in self._keys)
        return not is_known or now >= self._read_at + _FRESH_SECONDS

    async def _renewed(self) -> None:
        """Wait until the keys were read, once for all who wait."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._renew())
        await asyncio.shield(self._reading)

    async def _renew(self) -> None:
        self._tried_at = self._ticks()
        try:
            async with asyncio.timeout(2 * FETCH_SECONDS):
                document = await asyncio.to_thread(self._read)
            self._keys, self._read_at = read_keys(document), self._ticks()
        except (OSError, ValueError, BadKeys) as fault:  # TimeoutError is an OSError
            log.fault("issuer", fault)
        finally:
            self._reading = None


def issuer_of(section: OAuthSection) -> Issuer | None:
    """The issuer that is configured, if one is."""
    if not section.issuer:
        return None
    terms = Terms(section.issuer, section.audience, section.claim)
    return Issuer(terms, partial(read_document, section))


def read_document(section: OAuthSection) -> bytes:
    """Read the set of keys that is configured.  Raises OSError, and ValueError if it is too much."""
    return fetch(section.jwks) if section.has_url else _read_file(Path(section.jwks))


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(MAX_OCTETS + 1))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from the address that was configured, or not at all."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def fetch(url: str) -> bytes:
    """Read what lies at *url*.  Raises OSError, also when it takes too long; ValueError if it is too much."""
    until = time.monotonic() + FETCH_SECONDS
    document = b""
    with _OPENER.open(url, timeout=FETCH_SECONDS) as answer:
        while octets := answer.read1(64 * 1024):
            document = _bounded(document + octets)
            if time.monotonic() > until:
                raise TimeoutError("the issuer sends its keys too slowly")
    return document


def _bounded(document: bytes) -> bytes:
    if len(document) > MAX_OCTETS:
        raise ValueError(f"a set of keys beyond {MAX_OCTETS} octets")
    return document
