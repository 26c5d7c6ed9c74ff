"""The accounts changed: what was believed at AUTH is looked at again, for everybody who is inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from relay.accounts.credentials import Login, load_login
from relay.mail.session import Session
from relay.policy.submission import User
from relay.submission import replies
from relay.submission.listener import Door


async def recheck(door: Door) -> None:
    """Give every session its user as it is now; send away those whose login is not good any more.

    Raises DBAPIError if the database is away; everybody is then left as he is.
    """
    names = {server.session.user.name for server in door.sessions if server.session.user is not None}
    if not names:
        return
    logins = await door.office.db.read(_load, names, door.office.clock.now())
    for server in door.sessions:
        user = server.session.user
        if user is None or user.name not in logins:
            continue  # came in while we read
        if (now := _as_it_is_now(server.session.facts, user, logins[user.name])) is not None:
            server.session.user = now
        else:
            # What is being kept at this moment is; what is still arriving will not be.
            server.turn_away(replies.LOGIN_IS_OVER, waits_for_content=True)


def _load(tx: Connection, names: Iterable[str], now: datetime) -> Mapping[str, Login | None]:
    return {name: load_login(tx, name, now) for name in names}


def _as_it_is_now(facts: Session, user: User, login: Login | None) -> User | None:
    """*user* with what it may do now; None if it could not log in again as it did."""
    if login is None or not login.is_active or login.user.id != user.id:
        return None
    if user.credential_id is None:  # it came in by its network, or by a token: no password was asked for
        return login.user
    mine = [secret for secret in login.secrets if secret.credential_id == user.credential_id]
    if not any(secret.is_good_from(facts.peer_address) for secret in mine):
        return None
    return replace(login.user, credential_id=user.credential_id)
