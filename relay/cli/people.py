"""A user together with its route and its usage, as the commands of `relay user` show and change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from relay.accounts import users
from relay.accounts.profile import Profile
from relay.accounts.usage import Usage, used_since
from relay.accounts.users import Account, Deletion, Edit, NewUser
from relay.cli import rewrites
from relay.cli.desk import Desk
from relay.cli.printing import moment, size
from relay.cli.shown import Cell, Fields, Tone
from relay.db.audit import Author
from relay.mail.rewriting import to_members as rewrite_members
from relay.policy.limits import to_members
from relay.routing import routes
from relay.routing.changes import OwnUpstream, set_own_upstream
from relay.routing.routes import RoutingTable
from relay.routing.upstreams import find_upstream

HEADINGS = ("name", "active", "senders", "priority", "upstream", "sent, 24 h", "last login")
_SENDERS_SHOWN = 3
_DAY = timedelta(days=1)
_MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Person:
    """A user, the name of its own upstream if it has one, and what it sent in a day and in 30."""

    account: Account
    upstream: str | None
    today: Usage
    month: Usage


# --- changing: accounts and routing in one transaction -------------------------------------------


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A user to add, and the upstream of its own, by id."""

    by: Author
    name: str
    profile: Profile
    password_hash: str
    scram_keys: str | None
    upstream_id: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """The user's mail shall go to this upstream; None: by the default route."""

    upstream_id: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a user, and where its mail shall go, if that changes."""

    by: Author
    name: str
    change: Callable[[Profile], Profile]
    move: Move | None


def add(tx: Connection, items: Sequence[Newcomer]) -> list[Account]:
    """Make users, each with its route."""
    return [_add(tx, item) for item in items]


def _add(tx: Connection, item: Newcomer) -> Account:
    (made,) = users.create(
        tx, [NewUser(item.by, item.name, item.profile, item.password_hash, item.scram_keys)]
    )
    if item.upstream_id is not None:
        set_own_upstream(tx, [OwnUpstream(item.by, made.id, made.name, item.upstream_id)])
    return made


def change(tx: Connection, items: Sequence[Change]) -> list[Account]:
    """Change users, and where their mail goes."""
    return [_change(tx, item) for item in items]


def _change(tx: Connection, item: Change) -> Account:
    (changed,) = users.edit(tx, [Edit(item.by, item.name, item.change)])
    if item.move is not None:
        set_own_upstream(tx, [OwnUpstream(item.by, changed.id, changed.name, item.move.upstream_id)])
    return changed


def remove(tx: Connection, items: Sequence[Deletion]) -> list[Account]:
    """Delete users; what waits on a route of theirs goes by the default route."""
    for item in items:
        account = users.find(tx, item.name)
        set_own_upstream(tx, [OwnUpstream(item.by, account.id, account.name, None)])
    return users.remove(tx, items)


def upstream_id(desk: Desk, name: str | None) -> str | None:
    """The id of the upstream called *name*.  Raises NoSuchUpstream."""
    return None if name is None else desk.read(find_upstream, name, desk.sealer).id


# --- showing -----------------------------------------------------------------------------------


def everybody(desk: Desk) -> list[Person]:
    """All users, by name."""
    return _persons(desk, desk.read(users.everybody))


def one(desk: Desk, name: str) -> Person:
    """One user.  Raises NoSuchUser."""
    return _persons(desk, [desk.read(users.find, name)])[0]


def _persons(desk: Desk, accounts: Sequence[Account]) -> list[Person]:
    table = desk.read(routes.load, desk.sealer)
    today = desk.read(used_since, desk.now - _DAY)
    month = desk.read(used_since, desk.now - _MONTH)
    return [
        Person(a, _own(table, a.id), today.get(a.id, Usage()), month.get(a.id, Usage())) for a in accounts
    ]


def _own(table: RoutingTable, user_id: str) -> str | None:
    route = table.own_route_of(user_id)
    if route is None:
        return None
    return table.upstreams[route.upstream_ids[0]].name


def row(one: Person) -> tuple[str | Cell, ...]:
    """A user as a row under HEADINGS."""
    profile = one.account.profile
    return (
        Cell(one.account.name, Tone.STRONG),
        Cell("yes", Tone.GOOD) if profile.is_active else Cell("no", Tone.QUIET),
        _few(profile.patterns),
        _priority(profile),
        one.upstream or "",
        str(one.today.messages),
        moment(one.account.last_used_at),
    )


def card(one: Person) -> Fields:
    """A user with everything about it."""
    profile, limits = one.account.profile, one.account.profile.limits
    return Fields(
        (
            ("name", Cell(one.account.name, Tone.STRONG)),
            ("active", Cell("yes", Tone.GOOD) if profile.is_active else Cell("no", Tone.BAD)),
            ("may send as", "\n".join(profile.patterns) or Cell("nobody", Tone.DOUBTFUL)),
            ("on mismatch", profile.mismatch.value),
            ("default sender", _text(profile.default_sender)),
            ("priority", _priority(profile)),
            ("upstream", one.upstream or "by the default route"),
            ("contact", _text(profile.contact_address)),
            ("largest message", None if limits.max_message_bytes is None else size(limits.max_message_bytes)),
            ("most recipients", None if limits.max_recipients is None else str(limits.max_recipients)),
            ("quotas", "\n".join(map(str, limits.quotas)) or None),
            ("may send to", None if limits.recipients is None else "\n".join(limits.recipients.patterns)),
            ("may send from", None if limits.networks is None else "\n".join(limits.networks.prefixes)),
            ("last 24 hours", _sent(one.today)),
            ("last 30 days", _sent(one.month)),
            ("last login", moment(one.account.last_used_at)),
            ("added", moment(one.account.created_at)),
            *rewrites.rows(profile.rewrite),
            ("notes", profile.notes),
        )
    )


def document_of(one: Person) -> dict[str, Any]:
    """A user as --json shows it."""
    return {**document(one.account, one.upstream), "last_24_hours": one.today, "last_30_days": one.month}


def document(account: Account, upstream: str | None) -> dict[str, Any]:
    """What does not depend on what was sent."""
    profile = account.profile
    return {
        "id": account.id,
        "name": account.name,
        "is_active": profile.is_active,
        "senders": profile.patterns,
        "mismatch": profile.mismatch,
        "default_sender": profile.default_sender,
        "default_priority": profile.default_priority,
        "highest_priority": profile.highest_priority,
        "upstream": upstream,
        "contact_address": profile.contact_address,
        "limits": _set_limits(profile),
        "rewrite": rewrite_members(profile.rewrite),
        "notes": profile.notes,
        "created_at": account.created_at,
        "last_used_at": account.last_used_at,
    }


def _set_limits(profile: Profile) -> Mapping[str, Any]:
    limits = profile.limits
    known = {"max_message_bytes": limits.max_message_bytes, "max_recipients": limits.max_recipients}
    return {**known, **to_members(limits)}


def _few(patterns: tuple[str, ...]) -> str | Cell:
    if not patterns:
        return Cell("nobody", Tone.DOUBTFUL)
    more = len(patterns) - _SENDERS_SHOWN
    return ", ".join(patterns[:_SENDERS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _priority(profile: Profile) -> str:
    highest = profile.highest_priority
    return f"{profile.default_priority}" + (f", at most {highest}" if highest is not None else "")


def _sent(usage: Usage) -> str:
    return f"messages: {usage.messages}, recipients: {usage.recipients}, {size(usage.octets)}"


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
