"""The keys that mail is signed with (DKIM): made here, sealed, and published by whoever runs the domain.

A key is born NEW: it signs once its record was seen in DNS, or when it is told to.  From then on it is
ACTIVE, and takes the place of the active key of the same algorithm, which becomes RETIRED: it signs no
more, and its record should stay for some days, for the mail that is under way.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain, count
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from sqlalchemy import Connection, delete, insert, select, update

from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import dkim_keys
from relay.mail.address import fold_domain
from relay.mail.dkim import Algorithm, Signer, record_name, record_text
from relay.sealing import Sealer

RSA_BITS = 2048  # 4096 fits no single UDP answer, and some verifiers do not take it
_SELECTOR_SUFFIX = {Algorithm.RSA: "", Algorithm.ED25519: "e"}


class NoSuchKey(LookupError):
    """There is no such key; the message says which there are."""


class KeyTaken(ValueError):
    """There is a key of that selector already."""


class State(StrEnum):
    """Whether a key signs."""

    NEW = "new"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one domain; `checked_at` and `check_detail` tell of the last look at its record."""

    domain: str
    selector: str
    algorithm: Algorithm
    state: State
    public_key: bytes
    sealed: bytes = field(repr=False)
    created_at: datetime
    checked_at: datetime | None = None
    check_detail: str | None = None

    @property
    def record_name(self) -> str:
        """Where its record belongs."""
        return record_name(self.domain, self.selector)

    @property
    def record_text(self) -> str:
        """What the record says."""
        return record_text(self.algorithm, self.public_key)

    def signer(self, sealer: Sealer) -> Signer:
        """The key ready to sign.  Raises CannotUnseal if the key file has lost its key."""
        private = serialization.load_pem_private_key(
            sealer.unseal(self.sealed).encode(),
            None,
            unsafe_skip_rsa_key_validation=True,  # ours, and sealed: proving it takes 50 ms
        )
        return Signer(self.domain, self.selector, self.algorithm, _signing(private))


def _signing(private: object) -> Callable[[bytes], bytes]:
    match private:
        case ed25519.Ed25519PrivateKey():  # RFC 8463 §3: the hash is what is signed
            return lambda data: private.sign(hashlib.sha256(data).digest())
        case rsa.RSAPrivateKey():
            return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        case _:
            raise ValueError("a stored key is of a kind that DKIM does not know")


# --- what may be asked for -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Keys to make for a domain, one for each algorithm; `selector` "": named by the day.

    `is_rotation`: only for the algorithms that the domain has keys of already.
    """

    by: Author
    sealer: Sealer
    domain: str
    algorithms: tuple[Algorithm, ...] = ()
    selector: str = ""
    is_active: bool = False
    is_rotation: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A key of a domain, or all of them, shall be in another state; `selector` "": all."""

    by: Author
    domain: str
    selector: str
    state: State


@dataclass(frozen=True, slots=True)
class Looked:
    """DNS was asked for a key's record; a new key whose record `is_good` begins to sign."""

    by: Author
    domain: str
    selector: str
    is_good: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Removal:
    """A key to delete, or all of a domain."""

    by: Author
    domain: str
    selector: str


def make_keys(tx: Connection, items: Sequence[NewKeys]) -> list[list[Key]]:
    """Make keys.  Raises BadAddress for what is no domain, KeyTaken, or NoSuchKey: none can be rotated."""
    return [_make(tx, item) for item in items]


def turn(tx: Connection, items: Sequence[Turn]) -> list[list[Key]]:
    """Change what keys do.  Raises NoSuchKey."""
    turned = []
    for item in items:
        found = keys_of(tx, item.domain, item.selector)
        for key in found:
            _turn(tx, item.by, key, item.state)
        turned.append(keys_of(tx, item.domain, item.selector))
    return turned


def note_look(tx: Connection, items: Sequence[Looked]) -> list[Key]:
    """Keep what DNS said of keys.  Raises NoSuchKey."""
    noted = []
    for item in items:
        (key,) = keys_of(tx, item.domain, item.selector)
        tx.execute(
            update(dkim_keys).where(*_this(key)).values(checked_at=item.by.at, check_detail=item.detail)
        )
        if item.is_good and key.state is State.NEW:
            _turn(tx, item.by, key, State.ACTIVE)
        noted += keys_of(tx, item.domain, item.selector)
    return noted


def remove_keys(tx: Connection, items: Sequence[Removal]) -> list[list[Key]]:
    """Delete keys and return them as they were.  Raises NoSuchKey."""
    gone = []
    for item in items:
        found = keys_of(tx, item.domain, item.selector)
        for key in found:
            tx.execute(delete(dkim_keys).where(*_this(key)))
            record(tx, item.by, "dkim.delete", key.record_name)
        bump(tx, Subject.KEYS)
        gone.append(found)
    return gone


# --- looking ---------------------------------------------------------------------------------------


def all_keys(tx: Connection) -> list[Key]:
    """Return every key, by domain and age."""
    order = (dkim_keys.c.domain, dkim_keys.c.created_at, dkim_keys.c.selector)
    return [_key(row) for row in tx.execute(select(dkim_keys).order_by(*order))]


def keys_of(tx: Connection, domain: str, selector: str = "") -> list[Key]:
    """Return the keys of *domain*, or the one of that *selector*.  Raises NoSuchKey if there is none."""
    folded = fold_domain(domain)
    theirs = [key for key in all_keys(tx) if key.domain == folded]
    found = [key for key in theirs if selector in {"", key.selector}]
    if not found:
        others = ", ".join(key.selector for key in theirs)
        hint = f"; its selectors are {others}." if others else '. See "relay dkim list".'
        what = f'no key "{selector}"' if selector else "no key"
        raise NoSuchKey(f"There is {what} for {domain}{hint}")
    return found


def signers(tx: Connection, sealer: Sealer) -> Mapping[str, tuple[Callable[[], Signer], ...]]:
    """The active keys of each domain, by its folded name, unsealed only when they are called for."""
    found = defaultdict[str, list[Callable[[], Signer]]](list)
    for key in all_keys(tx):
        if key.state is State.ACTIVE:
            found[key.domain].append(_Lazy(key, sealer))
    return {domain: tuple(keys) for domain, keys in found.items()}


class _Lazy:
    """A signer that is made when it is first wanted: not every process signs for every domain."""

    def __init__(self, key: Key, sealer: Sealer) -> None:
        self._key, self._sealer = key, sealer
        self._signer: Signer | None = None

    def __call__(self) -> Signer:
        if self._signer is None:
            self._signer = self._key.signer(self._sealer)
        return self._signer


# --- one at a time ---------------------------------------------------------------------------------


def _make(tx: Connection, item: NewKeys) -> list[Key]:
    domain = fold_domain(item.domain)
    theirs = keys_of(tx, domain) if item.is_rotation else [k for k in all_keys(tx) if k.domain == domain]
    algorithms = item.algorithms or tuple(dict.fromkeys(key.algorithm for key in theirs))
    taken = {key.selector for key in theirs}
    made = []
    for algorithm in algorithms:
        suffix = _SELECTOR_SUFFIX[algorithm] if len(algorithms) > 1 or not item.selector else ""
        selector = f"{item.selector}{suffix}" if item.selector else _free(item.by.at, suffix, taken)
        if selector in taken:
            raise KeyTaken(f'There is a key "{selector}" for {domain} already.')
        taken.add(selector)
        public, pem = _new_pair(algorithm)
        key = Key(domain, selector, algorithm, State.NEW, public, item.sealer.seal(pem), item.by.at)
        tx.execute(
            insert(dkim_keys).values(
                domain=domain, selector=selector, algorithm=algorithm.value, state=State.NEW.value,
                key_sealed=key.sealed, public_key=public, created_at=item.by.at,
            )
        )  # fmt: skip
        record(tx, item.by, "dkim.add", key.record_name, detail={"algorithm": algorithm.value})
        if item.is_active:
            _turn(tx, item.by, key, State.ACTIVE)
        made.append(selector)
    bump(tx, Subject.KEYS)
    return [key for key in keys_of(tx, domain) if key.selector in made]


def _turn(tx: Connection, by: Author, key: Key, state: State) -> None:
    if state is State.ACTIVE:
        tx.execute(
            update(dkim_keys)
            .where(
                dkim_keys.c.domain == key.domain,
                dkim_keys.c.algorithm == key.algorithm.value,
                dkim_keys.c.state == State.ACTIVE.value,
            )
            .values(state=State.RETIRED.value)
        )
    tx.execute(update(dkim_keys).where(*_this(key)).values(state=state.value))
    record(tx, by, f"dkim.{state.value}", key.record_name)
    bump(tx, Subject.KEYS)


def _this(key: Key) -> tuple[Any, ...]:
    return dkim_keys.c.domain == key.domain, dkim_keys.c.selector == key.selector


def _free(now: datetime, suffix: str, taken: set[str]) -> str:
    """A selector by the day; the second of a day gets a number."""
    names = chain([""], (f"-{number}" for number in count(2)))
    return next(name for more in names if (name := f"r{now:%Y%m%d}{suffix}{more}") not in taken)


def _new_pair(algorithm: Algorithm) -> tuple[bytes, str]:
    """The public key as the record has it, and the private key in PEM form."""
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if algorithm is Algorithm.RSA:
        private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    else:
        private = ed25519.Ed25519PrivateKey.generate()
        encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.public_key().public_bytes(encoding, form), pem.decode()


def _key(row: Any) -> Key:
    return Key(
        domain=row.domain,
        selector=row.selector,
        algorithm=Algorithm(row.algorithm),
        state=State(row.state),
        public_key=bytes(row.public_key),
        sealed=bytes(row.key_sealed),
        created_at=row.created_at,
        checked_at=row.checked_at,
        check_detail=row.check_detail,
    )
