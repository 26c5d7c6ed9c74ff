"""Runtime settings, declared once: the CLI, the panel, the manual and "restore defaults" all read this.

They live in the database, only where they differ from the default here, and take effect on every
node within seconds, without a restart.  What needs a restart is in `relay.config`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple, get_type_hints

from sqlalchemy import Connection, delete, insert, select

from relay.db import tables
from relay.db.revision import Subject, bump
from relay.mail.address import Address, BadAddress
from relay.mail.header import MAX_FIELDS, MAX_HEADER_OCTETS
from relay.mail.schedule import RetrySchedule
from relay.quantities import read_duration, read_number, render_duration


class BadSetting(ValueError):
    """No such setting, or no such value for it; the message says what would do."""


class About(NamedTuple):
    """What a setting is for, and the least and the largest value it takes."""

    explanation: str
    least: Any = None
    most: Any = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force, as one frozen value."""

    retry_first: Annotated[
        timedelta,
        About(
            "How long to wait after the first failed attempt; each further wait is twice as long.",
            least=timedelta(seconds=1),
        ),
    ] = timedelta(minutes=30)
    retry_ceiling: Annotated[
        timedelta, About("The longest wait between two attempts.", least=timedelta(seconds=1))
    ] = timedelta(hours=4)
    retry_perhaps_delivered: Annotated[
        timedelta,
        About(
            "The least wait before a message is sent again that an upstream may have taken: the line broke "
            "after the whole of it, before the answer. It would arrive twice.",
            least=timedelta(seconds=1),
        ),
    ] = timedelta(hours=4)
    message_lifetime: Annotated[
        timedelta,
        About(
            "How long to keep trying before a message is returned to its sender.",
            least=timedelta(minutes=1),
        ),
    ] = timedelta(days=4)
    head_start_high: Annotated[
        timedelta,
        About("By how much priority 2 goes before priority 5.", least=timedelta(0), most=timedelta(days=365)),
    ] = timedelta(minutes=60)
    head_start_normal: Annotated[
        timedelta,
        About("By how much priority 3 goes before priority 5.", least=timedelta(0), most=timedelta(days=365)),
    ] = timedelta(minutes=20)
    head_start_low: Annotated[
        timedelta,
        About("By how much priority 4 goes before priority 5.", least=timedelta(0), most=timedelta(days=365)),
    ] = timedelta(minutes=5)
    recipients_per_delivery: Annotated[
        int,
        About("The most recipients of one message sent to an upstream in one transaction.", least=1),
    ] = 100
    max_message_bytes: Annotated[
        int,
        About("The largest message taken, in octets as sent.", least=64 * 1024, most=512 * 1024 * 1024),
    ] = 25 * 1024 * 1024
    max_recipients: Annotated[
        int, About("The most recipients of one message (RFC 5321 asks for at least 100).", least=100)
    ] = 1000
    max_received_fields: Annotated[
        int,
        About("A message with more Received fields is going in circles and is refused.", least=10),
    ] = 100
    max_connections: Annotated[
        int, About("The most clients connected to one relay process at once.", least=1)
    ] = 5000
    max_connections_per_address: Annotated[
        int, About("The most connections from one address to one relay process at once.", least=1)
    ] = 200
    handshake_timeout: Annotated[
        timedelta,
        About(
            "How long a TLS handshake or a PROXY header may take; who never ends one holds a socket.",
            least=timedelta(seconds=1),
        ),
    ] = timedelta(seconds=15)
    login_timeout: Annotated[
        timedelta,
        About(
            "How long a client may take from its connection to its login: strangers get little time.",
            least=timedelta(seconds=10),
        ),
    ] = timedelta(minutes=2)
    idle_timeout: Annotated[
        timedelta,
        About(
            "How long a client may say nothing once it is logged in (RFC 5321 asks for 5 minutes).",
            least=timedelta(seconds=10),
        ),
    ] = timedelta(minutes=5)
    session_lifetime: Annotated[
        timedelta,
        About(
            "How long a session may last: clients must see another node some day. Mail arriving may end.",
            least=timedelta(minutes=1),
        ),
    ] = timedelta(hours=12)
    room_timeout: Annotated[
        timedelta,
        About(
            "How long a message waits while others fill the memory set aside for mail in flight "
            "(memory_budget), before its client is told to come back. Clients wait two minutes and more.",
            least=timedelta(0),
        ),
    ] = timedelta(seconds=30)
    slowest_transfer: Annotated[
        int,
        About(
            "The least octets per second at which a message must arrive, beyond one idle_timeout; who drips "
            "them one by one is cut off. 0: as slowly as it likes.",
            least=0,
        ),
    ] = 100
    max_errors: Annotated[
        int,
        About(
            "A session ends after so many replies of 5xx: a program that errs so often does not listen.",
            least=1,
        ),
    ] = 20
    max_fruitless_commands: Annotated[
        int,
        About(
            "NOOP, RSET, EHLO, VRFY and the like that are free between two messages; each further one "
            "counts as an error.",
            least=10,
        ),
    ] = 100
    max_commands_per_session: Annotated[
        int,
        About("The most commands of one session; then the client has to connect again.", least=100),
    ] = 1_000_000
    max_messages_per_session: Annotated[
        int,
        About(
            "The most messages of one session; then the client has to connect again, perhaps elsewhere.",
            least=1,
        ),
    ] = 100_000
    max_line_bytes: Annotated[
        int,
        About(
            "The longest line of a message, in octets. RFC 5322 allows 998, programs send more, and some "
            "upstreams break or refuse them.",
            least=998,
        ),
    ] = 64 * 1024
    max_header_bytes: Annotated[
        int,
        About(
            "The largest header, in octets: it is held and read whole.",
            least=8 * 1024,
            most=MAX_HEADER_OCTETS,
        ),
    ] = 256 * 1024
    max_header_fields: Annotated[
        int,
        About(
            "The most fields of a header: each is looked at. MIME parts are not, so however many "
            "and deep they are, they cost nothing here; where they are, on their way out, that is bounded.",
            least=100,
            most=MAX_FIELDS,
        ),
    ] = 2000
    longest_hold: Annotated[
        timedelta,
        About(
            "How far ahead a client may schedule a message (HOLDFOR, HOLDUNTIL); 0s: not at all.",
            least=timedelta(0),
        ),
    ] = timedelta(days=30)
    delay_notice_after: Annotated[
        timedelta,
        About(
            "After how long a sender hears that a message is still on its way (DSN's DELAY); 0s: never.",
            least=timedelta(0),
        ),
    ] = timedelta(hours=4)
    delay_notice_unasked: Annotated[
        bool, About("Tell of a delay also those who did not say by NOTIFY what they want to hear of.")
    ] = False
    refuse_bare_newlines: Annotated[
        bool, About("Refuse messages with a bare CR or LF instead of making it CRLF.")
    ] = False
    reveal_client: Annotated[
        bool, About("Name the client's address and HELO in the Received field of what it sends.")
    ] = False
    login_failures_per_connection: Annotated[
        int, About("A session ends after so many failed logins.", least=1)
    ] = 5
    login_failure_delay: Annotated[
        timedelta,
        About(
            "By how much the answer to the third failed login is kept back; to each further one, twice as "
            "long, up to sixteen times. Guessing gets slow; who mistypes once waits for nothing.",
            least=timedelta(0),
        ),
    ] = timedelta(seconds=1)
    login_failures_per_address: Annotated[
        int,
        About(
            "After so many failed logins an address is barred for login_lockout; its users who logged in "
            "from there before are not.",
            least=3,
        ),
    ] = 20
    login_failures_per_network: Annotated[
        int, About("The same for all of a network together: a /24, or a /64 of IPv6.", least=3)
    ] = 100
    login_failures_per_user: Annotated[
        int,
        About(
            "After so many failed logins under one name, it is barred for login_lockout wherever it never "
            "logged in from; and at each address after so many failures there.",
            least=3,
        ),
    ] = 20
    login_lockout: Annotated[
        timedelta,
        About("How long too many failed logins bar the way.", least=timedelta(seconds=1)),
    ] = timedelta(minutes=15)
    login_retention: Annotated[
        timedelta,
        About(
            "How long the counts of login attempts are kept; they also say where a user is known.",
            least=timedelta(days=1),
        ),
    ] = timedelta(days=90)
    offer_channel_binding: Annotated[
        bool,
        About(
            "Announce SCRAM-SHA-256-PLUS, bound to the server's certificate (tls-server-end-point). Some "
            "clients know only the binding tls-exporter and then cannot log in: turn it on if none of yours "
            "is of that kind."
        ),
    ] = False
    operator_address: Annotated[
        str, About("Where notifications to the operator are mailed; empty: nowhere.")
    ] = ""
    notice_interval: Annotated[
        timedelta,
        About(
            "The least time between two notifications about the same user and sender.",
            least=timedelta(0),
        ),
    ] = timedelta(hours=1)
    upstream_check_every: Annotated[
        timedelta,
        About(
            "How often each upstream is tested step by step unbidden; nothing is sent. 0: never.",
            least=timedelta(0),
        ),
    ] = timedelta(days=1)
    message_retention: Annotated[
        timedelta,
        About("How long the record of a finished message is kept.", least=timedelta(hours=1)),
    ] = timedelta(days=30)
    event_retention: Annotated[
        timedelta,
        About("How long it is remembered what was refused, and why.", least=timedelta(hours=1)),
    ] = timedelta(days=30)

    @property
    def schedule(self) -> RetrySchedule:
        """The retry settings as the schedule they make."""
        return RetrySchedule(self.retry_first, self.retry_ceiling, self.message_lifetime)


class Declared(NamedTuple):
    """One setting as it is declared: name, kind, default and what it is for."""

    name: str
    kind: type
    default: Any
    explanation: str
    least: Any
    most: Any


def _declared() -> Iterator[Declared]:
    about = get_type_hints(Settings, include_extras=True)
    for f in fields(Settings):
        yield Declared(f.name, type(f.default), f.default, *about[f.name].__metadata__[0])


SETTINGS: Mapping[str, Declared] = {declared.name: declared for declared in _declared()}


def load(tx: Connection) -> Settings:
    """Return the settings in force: the defaults, and what was set over them."""
    stored = {row.name: row.value for row in tx.execute(select(tables.settings))}
    known = [declared for name, declared in SETTINGS.items() if name in stored]
    return replace(Settings(), **{each.name: _read(each, stored[each.name]) for each in known})


def store(tx: Connection, name: str, text: str, now: datetime) -> Any:
    """Set *name* to what *text* says and return the value.  Raises BadSetting."""
    value = parse(name, text)
    if name == "operator_address" and value:
        _check_address(value)
    tx.execute(delete(tables.settings).where(tables.settings.c.name == name))
    if value != SETTINGS[name].default:
        tx.execute(insert(tables.settings).values(name=name, value=render(value), changed_at=now))
    bump(tx, Subject.SETTINGS)
    return value


def _check_address(text: str) -> None:
    """Refuse what no letter can be sent to: notifications would come to nothing without a word."""
    try:
        Address.parse(text)
    except BadAddress as fault:
        raise BadSetting(f'"{text}" is no e-mail address: {fault}') from None


def parse(name: str, text: str) -> Any:
    """Read the value of setting *name* from *text*.  Raises BadSetting."""
    declared = declaration(name)
    value = _read(declared, text)
    if declared.least is not None and value < declared.least:
        raise BadSetting(f"{name} is at least {render(declared.least)}")
    if declared.most is not None and value > declared.most:
        raise BadSetting(f"{name} is at most {render(declared.most)}")
    return value


def _read(declared: Declared, text: str) -> Any:
    try:
        return _READERS[declared.kind](text.strip())
    except ValueError:
        raise BadSetting(f'{declared.name} is {_KINDS[declared.kind]}; "{text}" is not') from None


def declaration(name: str) -> Declared:
    """Return how *name* is declared.  Raises BadSetting, suggesting the nearest name."""
    if name in SETTINGS:
        return SETTINGS[name]
    near = difflib.get_close_matches(name, SETTINGS, n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ' See "relay settings list".'
    raise BadSetting(f'There is no setting "{name}".{hint}')


_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _read_boolean(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError(text)
    return _TRUTHS[text.lower()]


_READERS: Mapping[type, Callable[[str], Any]] = {
    timedelta: read_duration,
    int: read_number,
    bool: _read_boolean,
    str: str,
}
_KINDS = {
    timedelta: 'a duration such as "30m", "4h" or "1d 12h"',
    int: 'a whole number, also as "25M"',
    bool: "yes or no",
    str: "text",
}


def render(value: Any) -> str:
    """Write a value so that `parse` reads it back."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return render_duration(value) if isinstance(value, timedelta) else str(value)
