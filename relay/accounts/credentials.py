"""How a user proves who it is: what the door reads at AUTH, and what it writes of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from relay.accounts.profile import BadAccount, fold_name, limits_from_text
from relay.accounts.users import DEFAULT_CREDENTIAL, find
from relay.db.audit import Author, record
from relay.db.batch import Batch
from relay.db.revision import Subject, bump
from relay.db.tables import credentials, grants, users
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.policy.decision import Mismatch
from relay.policy.grants import Grants
from relay.policy.networks import Networks, parse_networks
from relay.policy.submission import User

LENT = "send-test"
"""The name of what is lent for a test, and taken back after it."""
USE_INTERVAL = timedelta(minutes=1)  # the finest that "last used" is kept


@dataclass(frozen=True, slots=True)
class Secret:
    """One credential's stored half; `scram_keys` are sealed; no `networks`: good from anywhere."""

    credential_id: str
    password_hash: str
    scram_keys: str | None = None
    networks: Networks | None = None
    expires_at: datetime | None = None

    def is_good_from(self, peer: str) -> bool:
        """Whether a client at address *peer* may use it."""
        return self.networks is None or self.networks.hold(peer)

    def __repr__(self) -> str:
        return f"Secret({self.credential_id}, ***)"


@dataclass(frozen=True, slots=True)
class Login:
    """What is known of who wants to log in: the user as policy will see it, and the hashes to try.

    Of the secrets, those that are good longest come first.
    """

    user: User
    is_active: bool
    secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password to set for one user's credential."""

    by: Author
    user: str
    password_hash: str
    scram_keys: str | None = None


@dataclass(frozen=True, slots=True)
class Loan:
    """A further credential for one user, good until it expires or is taken back."""

    by: Author
    user: str
    name: str
    password_hash: str
    expires_at: datetime
    scram_keys: str | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """A lent credential that is wanted no more."""

    by: Author
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Rehash:
    """The same password under today's parameters; dropped if the password was changed meanwhile."""

    credential_id: str
    old_hash: str
    new_hash: str


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """SCRAM keys for a credential that has none yet; dropped if the password was changed meanwhile."""

    credential_id: str
    password_hash: str
    scram_keys: str


@dataclass(frozen=True, slots=True)
class Use:
    """A credential was used: when, from which address, by a client that called itself what."""

    credential_id: str
    at: datetime
    peer: str
    client: str


_NEVER = datetime.max.replace(tzinfo=UTC)
_USER = select(users).where(users.c.name == bindparam("name"))
_GRANTS = select(grants.c.pattern).where(grants.c.user_id == bindparam("user_id"))
_SECRETS = select(
    credentials.c.id,
    credentials.c.password_hash,
    credentials.c.scram_verifier,
    credentials.c.allowed_networks,
    credentials.c.expires_at,
).where(
    credentials.c.user_id == bindparam("user_id"),
    or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > bindparam("now")),
)
_EXPIRED = (
    select(credentials.c.id)
    .where(credentials.c.expires_at > bindparam("after"), credentials.c.expires_at <= bindparam("until"))
    .limit(1)
)
_REHASH = Batch(
    update(credentials)
    .where(credentials.c.id == bindparam("of"), credentials.c.password_hash == bindparam("old"))
    .values(password_hash=bindparam("new"))
)
_FIRST_KEYS = Batch(
    update(credentials)
    .where(credentials.c.id == bindparam("of"), credentials.c.password_hash == bindparam("hash"))
    .values(scram_verifier=bindparam("keys"))
)
_NOTE_USE = Batch(
    update(credentials)
    .where(
        credentials.c.id == bindparam("of"),
        or_(credentials.c.last_used_at.is_(None), credentials.c.last_used_at < bindparam("stale")),
    )
    .values(
        last_used_at=bindparam("at"), last_used_from=bindparam("peer"), last_used_client=bindparam("client")
    )
)


def load_login(tx: Connection, name: str, now: datetime) -> Login | None:
    """Return who *name* is, with the credentials that are good at *now*; None if there is no such user."""
    try:
        folded = fold_name(name)
    except BadAccount:
        return None
    row = tx.execute(_USER, {"name": folded}).one_or_none()
    if row is None:
        return None
    patterns = tuple(tx.execute(_GRANTS, {"user_id": row.id}).scalars())
    secrets = [_secret(each) for each in tx.execute(_SECRETS, {"user_id": row.id, "now": now})]
    secrets.sort(key=lambda secret: secret.expires_at or _NEVER, reverse=True)
    return Login(_user(row, Grants(patterns)), row.is_active, tuple(secrets))


def has_expired(tx: Connection, after: datetime, until: datetime) -> bool:
    """Whether any credential expired after the one moment and until the other."""
    return tx.execute(_EXPIRED, {"after": after, "until": until}).first() is not None


def set_password(tx: Connection, items: Sequence[NewPassword]) -> list[None]:
    """Replace the password of a user's first credential; who is inside by the old one is sent away.

    Raises NoSuchUser.
    """
    for item in items:
        account = find(tx, item.user)
        # A new id makes it another credential, which nobody has logged in with yet
        fresh = {
            "id": item.by.id(),
            "password_hash": item.password_hash,
            "scram_verifier": item.scram_keys,
            "created_at": item.by.at,
            "expires_at": None,
        }
        changed = tx.execute(
            update(credentials)
            .where(credentials.c.user_id == account.id, credentials.c.name == DEFAULT_CREDENTIAL)
            .values(**fresh)
        )
        if not changed.rowcount:  # it was revoked
            tx.execute(insert(credentials).values(user_id=account.id, name=DEFAULT_CREDENTIAL, **fresh))
        record(tx, item.by, "user.password", account.name)
        bump(tx, Subject.ACCOUNTS)
    return [None] * len(items)


def lend(tx: Connection, items: Sequence[Loan]) -> list[None]:
    """Give users further credentials.  Raises NoSuchUser."""
    for item in items:
        account = find(tx, item.user)
        tx.execute(
            insert(credentials).values(
                id=item.by.id(),
                user_id=account.id,
                name=item.name,
                password_hash=item.password_hash,
                scram_verifier=item.scram_keys,
                created_at=item.by.at,
                expires_at=item.expires_at,
            )
        )
        record(tx, item.by, "credential.lend", account.name, detail={"credential": item.name})
    return [None] * len(items)


def take_back(tx: Connection, items: Sequence[Return]) -> list[None]:
    """Remove lent credentials: they are good no more.  Raises NoSuchUser."""
    for item in items:
        account = find(tx, item.user)
        lent = (credentials.c.user_id == account.id) & (credentials.c.name == item.name)
        tx.execute(delete(credentials).where(lent))
        record(tx, item.by, "credential.take_back", account.name, detail={"credential": item.name})
        bump(tx, Subject.ACCOUNTS)
    return [None] * len(items)


def rehash(tx: Connection, items: Sequence[Rehash]) -> list[None]:
    """Store passwords under today's parameters."""
    rows = [{"of": item.credential_id, "old": item.old_hash, "new": item.new_hash} for item in items]
    _REHASH.run(tx, rows)
    return [None] * len(items)


def keep_first_keys(tx: Connection, items: Sequence[FirstKeys]) -> list[None]:
    """Store SCRAM keys of passwords that were made before there were any."""
    _FIRST_KEYS.run(
        tx, [{"of": i.credential_id, "hash": i.password_hash, "keys": i.scram_keys} for i in items]
    )
    return [None] * len(items)


def record_use(tx: Connection, items: Sequence[Use]) -> list[None]:
    """Note when credentials were last used; of one that was noted within USE_INTERVAL, nothing is written."""
    latest = {item.credential_id: item for item in sorted(items, key=lambda item: item.at)}
    rows = [
        {
            "of": use.credential_id,
            "stale": use.at - USE_INTERVAL,
            "at": use.at,
            "peer": use.peer[:64],
            "client": use.client[:255],
        }
        for _, use in sorted(latest.items())
    ]
    _NOTE_USE.run(tx, rows)
    return [None] * len(items)


class RecentUses:
    """Remembers which credentials were noted lately, so that a login a second is not a write a second."""

    def __init__(self) -> None:
        self._noted: dict[str, datetime] = {}

    def is_due(self, credential_id: str, now: datetime) -> bool:
        """Whether this use wants noting; if so, it counts as noted."""
        noted = self._noted.get(credential_id)
        if noted is not None and now - noted < USE_INTERVAL:
            return False
        self._noted[credential_id] = now
        return True


def _secret(row: Any) -> Secret:
    networks = parse_networks(row.allowed_networks) if row.allowed_networks else None
    return Secret(row.id, row.password_hash, row.scram_verifier, networks, row.expires_at)


def _user(row: Any, held: Grants) -> User:
    return User(
        id=row.id,
        name=row.name,
        grants=held,
        mismatch=Mismatch(row.mismatch),
        default_sender=None if row.default_sender is None else Address.parse(row.default_sender),
        default_priority=Priority(row.default_priority),
        highest_priority=None if row.highest_priority is None else Priority(row.highest_priority),
        limits=limits_from_text(row.limits),
    )
