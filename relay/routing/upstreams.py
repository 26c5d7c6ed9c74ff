"""An upstream: one next hop, and all that is needed to speak to it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from relay.db.tables import upstreams
from relay.mail.address import Address, BadAddress
from relay.mail.rewriting import NO_REWRITE, Rewrite, from_text
from relay.places import host_and_port
from relay.routing.limits import NO_LIMITS, Limits
from relay.routing.options import NOTHING, Options
from relay.sealing import Sealer

DEFAULT_TIMEOUT = timedelta(seconds=60)
DEFAULT_CONCURRENCY = 10


class NoSuchUpstream(LookupError):
    """There is no upstream of that name; the message suggests the nearest."""


class Kind(StrEnum):
    """How an upstream is spoken to; each has its transport in `relay.delivery.transports`."""

    SMTP = "smtp"
    MX = "mx"  # each domain's own mail exchangers, as DNS names them
    SANDBOX = "sandbox"  # keeps the mail here and shows it: nothing leaves the machine
    HTTP_RAW = "http-raw"  # the message as it is, posted to a URL of one's own
    GRAPH = "graph"  # Microsoft Graph
    GMAIL = "gmail"
    SES = "ses"  # Amazon SES
    MAILGUN = "mailgun"
    POSTMARK = "postmark"  # this and the next want a message taken apart
    SENDGRID = "sendgrid"
    RESEND = "resend"
    BREVO = "brevo"

    @property
    def is_http(self) -> bool:
        """Whether it is a service that is spoken to over HTTP."""
        return self not in {Kind.SMTP, Kind.MX, Kind.SANDBOX}


class Tls(StrEnum):
    """How the connection to an upstream is secured."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"  # direct delivery only: as well as the other side can (RFC 7435)
    STARTTLS = "starttls"  # required: an upstream that does not offer it gets no mail
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class Password:
    """A password as it is stored; only whoever speaks to the upstream reveals it."""

    sealed: bytes
    sealer: Sealer = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return "Password(***)"

    def reveal(self) -> str:
        """Return the password itself.  Raises CannotUnseal if the key file has lost its key."""
        return self.sealer.unseal(self.sealed)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A next hop.  Two that are equal can share a connection.

    `port` 0 and `host` "" are a sandbox's; `host` "" alone, direct delivery's.  `pinned_ca` is PEM:
    certificates to trust instead of the system's.  `timeout` bounds each step but the answer to the
    final dot (RFC 5321 §4.5.3.2.6).  `archive_address` gets a copy of every message; `sender_address`
    is the account's own address, where its user name is none.  `password` is whatever proves who we
    are: a password, an API key, a signing key; with OAuth the client's secret or a service account's
    private key.  `rewrite` says how mail is changed for it.
    """

    id: str
    name: str
    kind: Kind
    host: str = ""
    port: int = 0
    tls: Tls = Tls.STARTTLS
    verify_tls: bool = True
    pinned_ca: str | None = None
    username: str | None = None
    password: Password | None = None
    sender_address: Address | None = None
    archive_address: Address | None = None
    timeout: timedelta = DEFAULT_TIMEOUT
    concurrency: int = DEFAULT_CONCURRENCY
    limits: Limits = NO_LIMITS
    is_enabled: bool = True
    options: Options = NOTHING
    rewrite: Rewrite = NO_REWRITE
    created_at: datetime | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """Where it is, in a few words: "smtp.example.com:587", or "kept here"."""
        if self.kind is Kind.MX:
            return f"each domain's own servers, port {self.port}"
        return host_and_port(self.host, self.port) if self.host else self.options.url or "kept here"

    @property
    def can_be_tested(self) -> bool:
        """Whether there is one place to go to: there is none in a sandbox, nor to all domains at once."""
        return self.kind is not Kind.SANDBOX and (self.kind is not Kind.MX or self.own_address is not None)

    def is_reached_like(self, other: Upstream) -> bool:
        """Whether a test of one tells of the other: the same place, secured and logged in to alike."""
        return all(getattr(self, name) == getattr(other, name) for name in _REACH)

    @property
    def own_address(self) -> Address | None:
        """The account's own address: the one that was given, or its user name if that is one."""
        if self.sender_address is not None or self.username is None:
            return self.sender_address
        try:
            return Address.parse(self.username)
        except BadAddress:
            return None


_REACH = (
    "kind", "host", "port", "tls", "verify_tls", "pinned_ca", "username", "password", "options",
)  # fmt: skip


def has_none(tx: Connection) -> bool:
    """Whether there is no upstream at all."""
    return tx.execute(select(upstreams.c.id).limit(1)).first() is None


def find_upstream(tx: Connection, name: str, sealer: Sealer) -> Upstream:
    """Return the upstream called *name*.  Raises NoSuchUpstream."""
    row = tx.execute(select(upstreams).where(upstreams.c.name == name)).one_or_none()
    if row is None:
        near = difflib.get_close_matches(name, tx.execute(select(upstreams.c.name)).scalars(), n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ' See "relay upstream list".'
        raise NoSuchUpstream(f'There is no upstream "{name}".{hint}')
    return _upstream(row, sealer)


def all_upstreams(tx: Connection, sealer: Sealer) -> Sequence[Upstream]:
    """Return every upstream, by name."""
    return [_upstream(row, sealer) for row in tx.execute(select(upstreams).order_by(upstreams.c.name))]


def _upstream(row: Any, sealer: Sealer) -> Upstream:
    return Upstream(
        id=row.id,
        name=row.name,
        kind=Kind(row.kind),
        host=row.host or "",
        port=row.port or 0,
        tls=Tls(row.tls),
        verify_tls=row.verify_tls,
        pinned_ca=row.pinned_ca,
        username=row.username,
        password=None if row.password_sealed is None else Password(bytes(row.password_sealed), sealer),
        sender_address=None if row.sender_address is None else Address.parse(row.sender_address),
        archive_address=None if row.archive_address is None else Address.parse(row.archive_address),
        timeout=timedelta(seconds=row.timeout_seconds),
        concurrency=row.concurrency,
        limits=Limits.from_json(row.limits),
        rewrite=from_text(row.rewrite),
        is_enabled=row.is_enabled,
        options=Options.from_json(row.options),
        created_at=row.created_at,
    )
