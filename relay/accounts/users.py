"""Users as an operator sees and changes them.

Every change counts up the revision of the accounts, so that each process forgets what it cached,
and is written to the audit trail.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from relay.accounts.profile import (
    BadAccount,
    Profile,
    checked,
    difference,
    fold_name,
    limits_from_text,
    limits_to_text,
)
from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import credentials, grants, users
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.mail.rewriting import Rewrite, from_text, to_text
from relay.policy.decision import Mismatch

DEFAULT_CREDENTIAL = "default"


class NoSuchUser(LookupError):
    """There is no user of that name; the message suggests the nearest."""


class NameTaken(ValueError):
    """There is a user of that name already."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user with all that an operator may see."""

    id: str
    name: str
    profile: Profile
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to make, with a first credential of the name "default"."""

    by: Author
    name: str
    profile: Profile
    password_hash: str
    scram_keys: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one user's profile; `change` is pure, and is given the profile as it stands."""

    by: Author
    name: str
    change: Callable[[Profile], Profile]


@dataclass(frozen=True, slots=True)
class Deletion:
    """A user to delete, with its grants, credentials and usage; its messages stay."""

    by: Author
    name: str


# --- looking ---------------------------------------------------------------------------------


def find(tx: Connection, name: str) -> Account:
    """Return the user called *name*, however it is written.  Raises NoSuchUser."""
    row = tx.execute(select(users).where(users.c.name == _looked_up(name))).one_or_none()
    if row is None:
        raise NoSuchUser(_no_such(tx, name))
    return next(iter(_accounts(tx, [row])))


def everybody(tx: Connection) -> list[Account]:
    """Return all users, by name."""
    return list(_accounts(tx, tx.execute(select(users).order_by(users.c.name)).all()))


def is_empty(tx: Connection) -> bool:
    """Whether there is no user at all."""
    return tx.execute(select(users.c.id).limit(1)).first() is None


def rewrites(tx: Connection) -> Mapping[str, Rewrite]:
    """Return how mail is changed, for each user whose mail is, by its id."""
    rows = tx.execute(select(users.c.id, users.c.rewrite).where(users.c.rewrite != "{}"))
    return {row.id: from_text(row.rewrite) for row in rows}


# --- changing --------------------------------------------------------------------------------


def create(tx: Connection, items: Sequence[NewUser]) -> list[Account]:
    """Make users.  Raises NameTaken, BadAccount, or policy's BadPattern."""
    return [_create(tx, item) for item in items]


def edit(tx: Connection, items: Sequence[Edit]) -> list[Account]:
    """Change users and return them as they are now.  Raises NoSuchUser, BadAccount, or BadPattern."""
    return [_edit(tx, item) for item in items]


def remove(tx: Connection, items: Sequence[Deletion]) -> list[Account]:
    """Delete users and return them as they were.  Raises NoSuchUser."""
    gone = []
    for item in items:
        account = find(tx, item.name)
        tx.execute(delete(users).where(users.c.id == account.id))
        record(tx, item.by, "user.delete", account.name)
        bump(tx, Subject.ACCOUNTS)
        bump(tx, Subject.CONTROL)  # a stop of its mail went with it
        gone.append(account)
    return gone


def _create(tx: Connection, item: NewUser) -> Account:
    name, profile, user_id = fold_name(item.name), checked(item.profile), item.by.id()
    if tx.execute(select(users.c.id).where(users.c.name == name)).first():
        raise NameTaken(f'There is a user "{name}" already.')
    tx.execute(insert(users).values(id=user_id, name=name, created_at=item.by.at, **_columns(profile)))
    _set_grants(tx, user_id, profile.patterns, item.by.at)
    tx.execute(
        insert(credentials).values(
            id=item.by.id(),
            user_id=user_id,
            name=DEFAULT_CREDENTIAL,
            password_hash=item.password_hash,
            scram_verifier=item.scram_keys,
            created_at=item.by.at,
        )
    )
    record(tx, item.by, "user.add", name, detail=difference(Profile(), profile))
    bump(tx, Subject.ACCOUNTS)
    return Account(user_id, name, profile, item.by.at, None)


def _edit(tx: Connection, item: Edit) -> Account:
    before = find(tx, item.name)
    after = checked(item.change(before.profile))
    if after != before.profile:
        tx.execute(update(users).where(users.c.id == before.id).values(**_columns(after)))
        if after.patterns != before.profile.patterns:
            _set_grants(tx, before.id, after.patterns, item.by.at)
        record(tx, item.by, "user.edit", before.name, detail=difference(before.profile, after))
        bump(tx, Subject.ACCOUNTS)
    return Account(before.id, before.name, after, before.created_at, before.last_used_at)


# --- rows ------------------------------------------------------------------------------------


def _columns(profile: Profile) -> Mapping[str, Any]:
    return {
        "is_active": profile.is_active,
        "default_priority": int(profile.default_priority),
        "highest_priority": None if profile.highest_priority is None else int(profile.highest_priority),
        "mismatch": profile.mismatch.value,
        "default_sender": _text(profile.default_sender),
        "contact_address": _text(profile.contact_address),
        "notes": profile.notes,
        "limits": limits_to_text(profile.limits),
        "rewrite": to_text(profile.rewrite),
    }


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _set_grants(tx: Connection, user_id: str, patterns: Iterable[str], now: datetime) -> None:
    """Make *patterns* the user's grants; those it has already keep the date they were given."""
    held = set(tx.execute(select(grants.c.pattern).where(grants.c.user_id == user_id)).scalars())
    wanted = set(patterns)
    if gone := held - wanted:
        tx.execute(delete(grants).where(grants.c.user_id == user_id, grants.c.pattern.in_(gone)))
    if fresh := sorted(wanted - held):
        tx.execute(
            insert(grants), [{"user_id": user_id, "pattern": text, "created_at": now} for text in fresh]
        )


def _accounts(tx: Connection, rows: Sequence[Any]) -> Iterable[Account]:
    """Put together users from their *rows*, with one query for the grants of all and one for their logins."""
    wanted = rows[0].id if len(rows) == 1 else None
    patterns = defaultdict[str, list[str]](list)
    granted = select(grants.c.user_id, grants.c.pattern).order_by(grants.c.pattern)
    used = select(credentials.c.user_id, func.max(credentials.c.last_used_at).label("at"))
    used = used.group_by(credentials.c.user_id)
    if wanted is not None:
        granted = granted.where(grants.c.user_id == wanted)
        used = used.where(credentials.c.user_id == wanted)
    for row in tx.execute(granted):
        patterns[row.user_id].append(row.pattern)
    last_used = {row.user_id: row.at for row in tx.execute(used)}
    for row in rows:
        profile = _profile(row, tuple(patterns[row.id]))
        yield Account(row.id, row.name, profile, row.created_at, last_used.get(row.id))


def _profile(row: Any, patterns: tuple[str, ...]) -> Profile:
    return Profile(
        patterns=patterns,
        is_active=row.is_active,
        default_priority=Priority(row.default_priority),
        highest_priority=None if row.highest_priority is None else Priority(row.highest_priority),
        mismatch=Mismatch(row.mismatch),
        default_sender=None if row.default_sender is None else Address.parse(row.default_sender),
        contact_address=None if row.contact_address is None else Address.parse(row.contact_address),
        notes=row.notes,
        limits=limits_from_text(row.limits),
        rewrite=from_text(row.rewrite),
    )


def _looked_up(name: str) -> str:
    """The stored form of *name*; "" (no user's name) for what cannot be one."""
    try:
        return fold_name(name)
    except BadAccount:
        return ""


def _no_such(tx: Connection, name: str) -> str:
    near = difflib.get_close_matches(name.lower(), tx.execute(select(users.c.name)).scalars(), n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ' See "relay user list".'
    return f'There is no user "{name}".{hint}'
