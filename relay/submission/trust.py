"""Old devices that cannot log in: in a trusted network they are taken for a named user, at MAIL.

Off unless a listener's `trusted` says so, and then only for what the connection itself shows: never
for this machine's own addresses (a tunnel or a proxy beside us would be everybody), and never for a
balancer that names no client.  The user's grants and limits hold as for anybody who logs in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay import log
from relay.accounts.credentials import load_login
from relay.mail.neighbours import is_loopback
from relay.mail.reply import Reply
from relay.mail.session import TRUSTED
from relay.submission import replies
from relay.submission.doorkeeper import welcome
from relay.submission.proxy import is_within

if TYPE_CHECKING:
    from relay.submission.server import Server


def trusted_as(server: Server) -> str | None:
    """The name of the user that this client is taken for; None if it must log in."""
    listener = server.port.listener
    if not listener.trusted or (listener.proxy_from and server.client is None):
        return None
    peer = server.session.facts.peer_address
    if is_loopback(peer):
        return None
    return next((each.user for each in listener.trusted if is_within(peer, (each.network,))), None)


async def let_in(server: Server) -> Reply | None:
    """Take a client in a trusted network for its user; the reply if there is no such user (any more)."""
    name = trusted_as(server)
    if name is None:
        return replies.LOGIN_NEEDED
    facts = server.session.facts
    login = await server.door.office.db.read(load_login, name, server.door.office.clock.now())
    if login is None or not login.is_active:
        why = "inactive user" if login else "the configuration trusts a user that there is not"
        log.authentication_failed(
            session=facts.id, user=name, mechanism=TRUSTED, peer=facts.peer_address, why=why
        )
        return replies.LOGIN_NEEDED
    server.log_in(login.user, TRUSTED)
    welcome(server, TRUSTED, login.user)
    log.authenticated(session=facts.id, user=login.user.name, mechanism=TRUSTED)
    return None
