"""Checkups of the database and of what stands in it: clock, upstreams, routes, users."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from relay.accounts import users as accounts
from relay.cli.checkups.finding import Finding, ok, problem, warning
from relay.cli.desk import Desk, file_of
from relay.db import tables
from relay.routing import routes
from relay.routing.health import CheckResult, load_health
from relay.routing.route_changes import all_rules
from relay.routing.soundness import warnings as doubts
from relay.routing.upstreams import all_upstreams
from relay.sealing import CannotUnseal

_SKEW = timedelta(seconds=5)


def database(desk: Desk) -> Iterator[Finding]:
    """Reachable and migrated; and if so, all that stands in it."""
    if desk.config.is_embedded and not file_of(desk.config).exists():
        yield warning("database", f"{file_of(desk.config)} is not there yet; the first start makes it.")
        return
    desk.read(lambda _: None)
    kind = f"SQLite, {file_of(desk.config)}" if desk.config.is_embedded else "PostgreSQL"
    yield ok("database", f"{kind}, reachable and up to date")
    for checkup in (clock, upstreams, named_routes, users):
        yield from checkup(desk)


def clock(desk: Desk) -> Iterator[Finding]:
    """Set our clock beside the database's, or beside the latest message of an embedded one."""
    if desk.config.is_embedded:
        latest = desk.read(lambda tx: tx.execute(select(func.max(tables.messages.c.accepted_at))).scalar())
        ahead = latest - desk.now if latest is not None else timedelta(0)
        if ahead > _SKEW:
            sentence = f"The latest message lies {ahead} in the future: was the clock set back?"
            yield problem("clock", sentence)
            return
    else:
        skew = abs(desk.read(_database_time) - desk.now)
        if skew > _SKEW:
            sentence = f"This machine's clock and the database's are {skew} apart: use NTP on both."
            yield problem("clock", sentence)
            return
    yield ok("clock", f"{desk.now:%Y-%m-%d %H:%M:%S} UTC")


def _database_time(tx: Connection) -> datetime:
    return tx.execute(select(func.now())).scalar_one()


def upstreams(desk: Desk) -> Iterator[Finding]:
    """The default route, and what is known or doubtful of each upstream."""
    table = desk.read(routes.load, desk.sealer)
    health = desk.read(load_health)
    if table.default is None:
        see = 'lead it to one with "relay route edit"' if table.upstreams else 'add one: "relay upstream add"'
        sentence = f"{table.why_nowhere}, so new mail is refused (451 4.3.5): {see}."
        yield problem("default route", sentence)
    elif not table.upstreams_of(table.default):
        sentence = 'All its upstreams are switched off, so mail waits: "relay upstream enable".'
        yield warning("default route", sentence)
    else:
        yield ok("default route", "leads to " + ", ".join(u.name for u in table.upstreams_of(table.default)))
    for upstream in table.upstreams.values():
        about = f"upstream {upstream.name}"
        last = health[upstream.id]
        try:
            if upstream.password is not None:
                upstream.password.reveal()
        except CannotUnseal as fault:
            yield problem(about, f"Its password is lost: {fault}.")
        if last.last_check is CheckResult.ERROR:
            yield warning(about, f"Its last check failed: {last.last_check_detail}")
        for doubt in doubts(upstream):
            yield warning(about, doubt)


def named_routes(desk: Desk) -> Iterator[Finding]:
    """Those that are switched on and lead nowhere, or where nobody takes mail."""
    known = {each.id: each for each in desk.read(all_upstreams, desk.sealer)}
    for rule in desk.read(all_rules):
        if rule.is_default or not rule.is_enabled:
            continue
        if not rule.legs:
            sentence = 'It leads to no upstream, so it is passed over: "relay route edit".'
            yield warning(f"route {rule.name}", sentence)
        elif not any(known[leg.upstream_id].is_enabled for leg in rule.legs):
            sentence = 'All its upstreams are switched off, so mail waits: "relay upstream enable".'
            yield warning(f"route {rule.name}", sentence)


def users(desk: Desk) -> Iterator[Finding]:
    """Whether anybody can log in, and send as somebody."""
    everybody = desk.read(accounts.everybody)
    powerless = [a.name for a in everybody if a.profile.is_active and not a.profile.patterns]
    if not everybody:
        yield warning("users", 'Nobody can log in yet: "relay user add".')
    elif powerless:
        sentence = f'May send as nobody: {", ".join(powerless)}. Grant something with "relay user edit".'
        yield warning("users", sentence)
    else:
        yield ok("users", f"{len(everybody)}, each with somebody to send as")
