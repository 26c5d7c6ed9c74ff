"""The first start: on an empty database, a user to try the relay with, and the sandbox as its upstream.

The sandbox keeps the mail and shows it, so that whoever is curious can send at once and nothing
leaves the machine.  The password is told here, this once, and stored only as a hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from relay.accounts.passwords import generate_password, hash_password
from relay.accounts.profile import Profile
from relay.accounts.scram import sealed_keys
from relay.accounts.users import NewUser, create, is_empty
from relay.config import Config, Listener, TlsMode
from relay.db.audit import Author
from relay.places import host_and_port
from relay.routing.changes import NewUpstream, add_upstream
from relay.routing.upstreams import Kind, Upstream, has_none
from relay.sealing import Sealer

DEMO_DOMAIN = "relay.test"  # a name that no real mail can ever have (RFC 6761 §6.2)
DEMO_USER = f"demo@{DEMO_DOMAIN}"
_SANDBOX = "sandbox"
_RULE = "─" * 100


class Demo(NamedTuple):
    """The demo user to make, and its password."""

    by: Author
    password: str
    sealer: Sealer


def demo_for(now: datetime, new_id: Callable[[datetime], str], sealer: Sealer) -> Demo:
    """Return a demo with a new password."""
    return Demo(Author("first start", now, new_id), generate_password(), sealer)


def make_demo(tx: Connection, items: Sequence[Demo]) -> list[bool]:
    """Make the demo user and the sandbox if the database is empty; say whether that was so."""
    return [_make_demo(tx, item) for item in items]


def _make_demo(tx: Connection, demo: Demo) -> bool:
    if not (is_empty(tx) and has_none(tx)):
        return False
    profile = Profile(patterns=(DEMO_DOMAIN,), notes="Made at the first start, to try the relay with.")
    keys = sealed_keys(DEMO_USER, demo.password, demo.sealer)
    create(tx, [NewUser(demo.by, DEMO_USER, profile, hash_password(demo.password), keys)])
    add_upstream(tx, [NewUpstream(demo.by, Upstream(demo.by.id(), _SANDBOX, Kind.SANDBOX), is_default=True)])
    return True


# --- what is said ----------------------------------------------------------------------------


def welcome(config: Config, *, ports: dict[str, str], admin: str, password: str) -> str:
    """Return the box of the first start: what is open, who may log in, and how to send a first message.

    *ports* are the open ports of each listener by its name, as text.
    """
    return "\n".join([_RULE, *_welcome(config, ports, admin, password), _RULE])


def short_welcome(config: Config, *, ports: dict[str, str], admin: str) -> str:
    """Return the one line of every later start."""
    doors = ", ".join(f"{listener.name} {ports[listener.name]}" for listener in config.listeners)
    return f"relay: ready for mail on {doors}; health and metrics on http://{admin}"


def _welcome(config: Config, ports: dict[str, str], admin: str, password: str) -> Iterator[str]:
    yield "  The relay is ready.\n"
    for listener in config.listeners:
        where = host_and_port(listener.address, ports[listener.name])
        yield f"  {listener.name:<12} {where:<24} {_secured(listener)}"
    yield f"  {'admin':<12} {'http://' + admin:<24} health and metrics\n"
    yield f"  user         {DEMO_USER}      may send as anybody at {DEMO_DOMAIN}"
    yield f"  password     {password}   shown only this once\n"
    yield "  Its upstream is the sandbox: mail is kept and shown, nothing leaves this machine."
    if (door := _easiest(config.listeners)) is not None:
        yield from _first_message(door, ports[door.name], password)


def _first_message(listener: Listener, ports: str, password: str) -> Iterator[str]:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.address, listener.address)  # noqa: S104
    where = host_and_port(host, ports.partition("-")[0].partition(" ")[0])
    scheme, curl, swaks = {
        TlsMode.NONE: ("smtp", "", ""),
        TlsMode.IMPLICIT: ("smtps", " --insecure", " --tls-on-connect"),
    }.get(listener.tls, ("smtp", " --ssl-reqd --insecure", " --tls"))
    yield "  To send a first message, copy either of these:\n"
    yield (
        f"swaks --server {where}{swaks} --auth-user {DEMO_USER} --auth-password {password}"
        f" --from {DEMO_USER} --to you@example.com\n"
    )
    yield (
        f"printf 'From: {DEMO_USER}\\r\\nTo: you@example.com\\r\\nSubject: Hello\\r\\n\\r\\nHello!\\r\\n' | "
        f"curl {scheme}://{where}{curl} --user {DEMO_USER}:{password} "
        f"--mail-from {DEMO_USER} --mail-rcpt you@example.com --upload-file - --verbose\n"
    )
    yield '  To see it:  ./run message show ID   (the ID stands in the answer: "250 2.0.0 Queued as ID")'
    yield "  What waits: ./run queue list"


def _easiest(listeners: Sequence[Listener]) -> Listener | None:
    """The listener that a first message is best sent to: one where the demo user can log in."""
    able = [each for each in listeners if each.tls is not TlsMode.NONE or each.auth_without_tls]
    return next((each for each in able if each.tls is not TlsMode.IMPLICIT), next(iter(able), None))


def _secured(listener: Listener) -> str:
    match listener.tls:
        case TlsMode.NONE:
            return "no TLS" + (", login in the clear" if listener.auth_without_tls else ", no login")
        case TlsMode.STARTTLS:
            return "STARTTLS offered"
        case TlsMode.STARTTLS_REQUIRED:
            return "STARTTLS required"
        case TlsMode.IMPLICIT:
            return "TLS from the first byte"
