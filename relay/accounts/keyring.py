"""A user's credentials, one for each program or device: given, narrowed, replaced, taken away.

A credential that is replaced or revoked is good no more from that moment; who is inside by it is
sent away.  With a time of grace the old password stays good for that long, as a credential of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from relay.accounts.credentials import LENT
from relay.accounts.profile import BadAccount
from relay.accounts.users import find
from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import credentials
from relay.policy.networks import Networks, parse_networks

_MAX_NAME = 64
_OLD = " (old)"


class NoSuchCredential(LookupError):
    """The user has no credential of that name; the message says which it has."""


class CredentialTaken(ValueError):
    """The user has a credential of that name already."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential as an operator sees it; `networks` None: good from anywhere."""

    id: str
    name: str
    networks: Networks | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    last_used_client: str | None


@dataclass(frozen=True, slots=True)
class Terms:
    """From where a credential is good, and until when."""

    networks: Networks | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A further credential for a user."""

    by: Author
    user: str
    name: str
    password_hash: str
    scram_keys: str | None
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class NewTerms:
    """A change of one credential's terms; `change` is pure, and is given them as they stand."""

    by: Author
    user: str
    name: str
    change: Callable[[Terms], Terms]


@dataclass(frozen=True, slots=True)
class Revocation:
    """A credential to take away."""

    by: Author
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Regeneration:
    """A new password for a credential; the old one stays good for `grace`."""

    by: Author
    user: str
    name: str
    password_hash: str
    scram_keys: str | None
    grace: timedelta = timedelta(0)


def list_credentials(tx: Connection, user: str) -> list[Credential]:
    """Return the credentials of *user*, by name.  Raises NoSuchUser."""
    account = find(tx, user)
    rows = select(credentials).where(credentials.c.user_id == account.id).order_by(credentials.c.name)
    return [_credential(row) for row in tx.execute(rows)]


def add_credential(tx: Connection, items: Sequence[NewCredential]) -> list[Credential]:
    """Give users further credentials.  Raises NoSuchUser, CredentialTaken, BadAccount."""
    made = []
    for item in items:
        account = find(tx, item.user)
        name = _checked(item.name)
        if any(each.name == name for each in list_credentials(tx, account.name)):
            raise CredentialTaken(f'"{account.name}" has a credential "{name}" already.')
        _insert(tx, account.id, item, name)
        _note(tx, item.by, "credential.add", account.name, name)
        made.append(_find(tx, account.id, account.name, name))
    return made


def edit_credential(tx: Connection, items: Sequence[NewTerms]) -> list[Credential]:
    """Change the terms of credentials.  Raises NoSuchUser, NoSuchCredential."""
    changed = []
    for item in items:
        account = find(tx, item.user)
        before = _find(tx, account.id, account.name, item.name)
        terms = item.change(Terms(before.networks, before.expires_at))
        tx.execute(
            update(credentials)
            .where(credentials.c.id == before.id)
            .values(allowed_networks=_text(terms.networks), expires_at=terms.expires_at)
        )
        _note(tx, item.by, "credential.edit", account.name, before.name)
        changed.append(replace(before, networks=terms.networks, expires_at=terms.expires_at))
    return changed


def revoke_credential(tx: Connection, items: Sequence[Revocation]) -> list[Credential]:
    """Take credentials away, and return them as they were.  Raises NoSuchUser, NoSuchCredential."""
    gone = []
    for item in items:
        account = find(tx, item.user)
        found = _find(tx, account.id, account.name, item.name)
        tx.execute(delete(credentials).where(credentials.c.id == found.id))
        _note(tx, item.by, "credential.revoke", account.name, found.name)
        gone.append(found)
    return gone


def regenerate_credential(tx: Connection, items: Sequence[Regeneration]) -> list[Credential]:
    """Put new credentials in the place of old ones, on their terms.  Raises NoSuchUser, NoSuchCredential."""
    made = []
    for item in items:
        account = find(tx, item.user)
        old = _find(tx, account.id, account.name, item.name)
        _retire(tx, account.id, old, item)
        terms = Terms(old.networks, old.expires_at)
        fresh = NewCredential(item.by, item.user, old.name, item.password_hash, item.scram_keys, terms)
        _insert(tx, account.id, fresh, old.name)
        _note(tx, item.by, "credential.regenerate", account.name, old.name)
        made.append(_find(tx, account.id, account.name, old.name))
    return made


def _retire(tx: Connection, user_id: str, old: Credential, item: Regeneration) -> None:
    """Delete the old credential, or let it live under another name until the grace is over."""
    if not item.grace:
        tx.execute(delete(credentials).where(credentials.c.id == old.id))
        return
    name = old.name + _OLD
    until = item.by.at + item.grace
    # Of two in a row, only the last one's old password is still good
    tx.execute(delete(credentials).where(credentials.c.user_id == user_id, credentials.c.name == name))
    tx.execute(
        update(credentials)
        .where(credentials.c.id == old.id)
        .values(name=name, expires_at=min(until, old.expires_at or until))
    )


def _insert(tx: Connection, user_id: str, item: NewCredential, name: str) -> None:
    tx.execute(
        insert(credentials).values(
            id=item.by.id(),
            user_id=user_id,
            name=name,
            password_hash=item.password_hash,
            scram_verifier=item.scram_keys,
            allowed_networks=_text(item.terms.networks),
            created_at=item.by.at,
            expires_at=item.terms.expires_at,
        )
    )


def _find(tx: Connection, user_id: str, user: str, name: str) -> Credential:
    rows = tx.execute(select(credentials).where(credentials.c.user_id == user_id)).all()
    for row in rows:
        if row.name == name.strip():
            return _credential(row)
    held = ", ".join(sorted(f'"{row.name}"' for row in rows)) or "none at all"
    raise NoSuchCredential(f'"{user}" has no credential "{name}"; it has {held}.')


def _credential(row: Any) -> Credential:
    return Credential(
        id=row.id,
        name=row.name,
        networks=parse_networks(row.allowed_networks) if row.allowed_networks else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        last_used_from=row.last_used_from,
        last_used_client=row.last_used_client,
    )


def _checked(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise BadAccount(f"The name of a credential has 1 to {_MAX_NAME} printable characters.")
    if name == LENT or name.endswith(_OLD):
        raise BadAccount(f'Credentials named "{name}" are made and taken away by the relay itself.')
    return name


def _text(networks: Networks | None) -> str:
    return "" if networks is None else " ".join(networks.prefixes)


def _note(tx: Connection, by: Author, action: str, user: str, credential: str) -> None:
    record(tx, by, action, user, detail={"credential": credential})
    bump(tx, Subject.ACCOUNTS)
