"""What an attempt to log in meets besides the password: whoever guesses waits, and is then barred.

A right password from a network that the user logged in from before is let in whatever strangers do:
for it only failures of that very address with that very name count.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from relay import log
from relay.accounts.attempts import Result, acquaintance
from relay.accounts.proofs import UNKNOWN_USER
from relay.mail.reply import Reply
from relay.notify.attack import attack_notice
from relay.queue.notices import note
from relay.submission import replies
from relay.submission.bars import share
from relay.submission.guard import By, Source, network_of

if TYPE_CHECKING:
    from relay.policy.submission import User
    from relay.submission.server import Server


async def barred(server: Server, mechanism: str, name: str) -> Reply | None:
    """The reply for somebody who may not even try; None for all others.

    Raises what the database raises, where it must be asked.
    """
    door, facts = server.door, server.session.facts
    bars = door.guard.bars(name, facts.peer_address, door.office.settings.value)
    if not bars:
        return None
    known = await door.office.db.read(acquaintance, name)
    is_known = known is not None and (
        network_of(facts.peer_address) in known.networks or door.logbook.knows(name, facts.peer_address)
    )
    if is_known and By.NAME_AT_ADDRESS not in bars:
        return None
    log.login_barred(session=facts.id, user=name[:255], peer=facts.peer_address, by=bars[0].value)
    _note(server, mechanism, name if known else "", Result.BARRED)
    is_about_address = By.ADDRESS in bars or By.NETWORK in bars
    return replies.ADDRESS_BARRED if is_about_address else replies.NAME_BARRED


async def refuse(server: Server, mechanism: str, name: str, why: str) -> Reply:
    """Refuse a login that failed: note it, keep the answer back for a while, or end the session."""
    await count_failure(server, mechanism, name, why)
    return refused(server)


async def count_failure(server: Server, mechanism: str, name: str, why: str) -> None:
    """Note a login that failed, and keep back whatever is said to it for a while."""
    door, facts = server.door, server.session.facts
    settings = door.office.settings.value
    log.authentication_failed(
        session=facts.id, user=name[:255], mechanism=mechanism, peer=facts.peer_address, why=why
    )
    _note(server, mechanism, "" if why == UNKNOWN_USER else name, Result.FAILURE)
    delay, reached = door.guard.failed(name, facts.peer_address, settings)
    for source in reached:
        log.login_limit_reached(
            by=source.by.value, source=source.text, seconds=settings.login_lockout.total_seconds()
        )
        share(door, source)
        await _tell(server, name, source)
    if delay:
        await door.office.clock.sleep(timedelta(seconds=delay))
    server.login_failures += 1


def refused(server: Server) -> Reply:
    """What to say to a login that failed; the session's last word if it was one too many."""
    if server.login_failures < server.door.office.settings.value.login_failures_per_connection:
        return replies.BAD_CREDENTIALS
    server.say(replies.BAD_CREDENTIALS)
    return replies.TOO_MANY_FAILURES


def welcome(server: Server, mechanism: str, user: User) -> None:
    """Note a login that went well."""
    facts = server.session.facts
    server.door.guard.succeeded(user.name, facts.peer_address)
    _note(server, mechanism, user.name, Result.SUCCESS)


def _note(server: Server, mechanism: str, name: str, result: Result) -> None:
    door = server.door
    door.logbook.note(
        name,
        server.session.facts.peer_address,
        door.office.clock.now(),
        mechanism=mechanism,
        result=result,
    )


async def _tell(server: Server, name: str, source: Source) -> None:
    """Tell user and operator that somebody guesses at the user's password, if there is such a user."""
    if source.by not in {By.NAME, By.NAME_AT_ADDRESS}:
        return
    door = server.door
    try:
        known = await door.office.db.read(acquaintance, name)
    except Exception as fault:  # noqa: BLE001  the client's answer does not depend on it
        log.fault("auth", fault)
        return
    if known is None:
        return
    settings, now = door.office.settings.value, door.office.clock.now()
    notice = attack_notice(
        known.user_id, name, facts=server.session.facts, now=now, new_id=door.office.new_id, settings=settings
    )
    door.handler.write_aside(note, notice)
