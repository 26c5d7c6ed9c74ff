"""The schema on one page.  Every noun of the product has its table; a change comes with a migration.

Ids are ULIDs (26 characters, rising with time).  Times are aware UTC.  What a message costs is
counted in statements: on its way in one insert each into `messages`, `contents`, `recipients`,
`deliveries` (and one upsert of `usage` a user and batch); on its way out one update each of
`recipients` and `deliveries`, one insert into `attempts`, one delete of `contents`.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.sql import ColumnElement

from relay.db.types import EnumText, UtcDateTime
from relay.mail.states import DeliveryState, RecipientState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = String(26)
_NAME = String(255)
_ADDRESS = String(320)


def _partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """Index only the rows that are asked for, so that those long done cost nothing."""
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


# --- who submits, and who runs it -----------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),  # the login name, case folded
    Column("is_active", Boolean, nullable=False, default=True),
    Column("default_priority", Integer, nullable=False, default=3),
    Column("highest_priority", Integer),  # the cap; null: none
    Column("mismatch", String(24), nullable=False, default="reject"),  # policy.decision.Mismatch
    Column("default_sender", _ADDRESS),  # what `rewrite` makes of a foreign From
    Column("contact_address", _ADDRESS),  # where notifications to the user go
    Column("notes", Text, nullable=False, default=""),
    Column("limits", Text, nullable=False, default="{}"),  # policy.Limits as JSON
    Column("created_at", UtcDateTime, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    # "ann@example.com", "example.com" or "*.example.com", in the folded form of mail.Address.key
    Column("pattern", _ADDRESS, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", _NAME, nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("scram_verifier", Text),
    Column("allowed_networks", Text, nullable=False, default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("last_used_from", String(64)),
    Column("last_used_client", _NAME),
    UniqueConstraint("user_id", "name"),
)

login_attempts = Table(  # who tried to log in, counted by day and source; "" is any name that nobody has
    "login_attempts",
    metadata,
    Column("user_name", _NAME, primary_key=True),
    Column("network", String(64), primary_key=True),  # the /24 or /64 of the client
    Column("day", UtcDateTime, primary_key=True, index=True),
    Column("mechanism", String(32), primary_key=True),
    Column("result", String(24), primary_key=True),  # accounts.attempts.Result
    Column("count", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("last_from", String(64), nullable=False),
)

sender_requests = Table(
    "sender_requests",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("address", _ADDRESS, nullable=False),
    Column("state", String(24), nullable=False),
    Column("token_hash", String(64)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("decided_by", _NAME),
)

usage = Table(  # what a user sent within one hour
    "usage",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
    Column("octets", BigInteger, nullable=False),
)

usage_minutes = Table(  # the same within one minute, only of users with a quota a minute
    "usage_minutes",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("minute", UtcDateTime, primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
    Column("octets", BigInteger, nullable=False),
)

operators = Table(
    "operators",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("email", _ADDRESS, nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(24), nullable=False),
    Column("totp_sealed", LargeBinary),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("created_at", UtcDateTime, nullable=False),
)

operator_sessions = Table(
    "operator_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("operator_id", _ID, ForeignKey("operators.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

audit = Table(  # what an operator changed
    "audit",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", _NAME, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", _NAME, nullable=False),
    Column("detail", Text, nullable=False, default="{}"),
)

# --- what runs, and how ----------------------------------------------------------------------

settings = Table(  # only what differs from the default that relay.settings declares
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

revisions = Table(  # counted up by every change; each process watches them and reads anew
    "revisions",
    metadata,
    Column("subject", String(24), primary_key=True),  # db.revision.Subject
    Column("number", Integer, nullable=False),
)

nodes = Table(  # the live processes: limits are divided by their number
    "nodes",
    metadata,
    Column("owner", String(64), primary_key=True),  # node name and process, as in deliveries.leased_by
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

templates = Table(
    "templates",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("events", Text, nullable=False),
    Column("is_enabled", Boolean, nullable=False, default=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# --- where mail goes -------------------------------------------------------------------------

upstreams = Table(
    "upstreams",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("kind", String(24), nullable=False),  # a key of delivery.transports.TRANSPORTS
    Column("is_enabled", Boolean, nullable=False, default=True),
    Column("host", _NAME),
    Column("port", Integer),
    Column("tls", String(24), nullable=False, default="starttls"),  # routing.upstreams.Tls
    Column("verify_tls", Boolean, nullable=False, default=True),
    Column("pinned_ca", Text),  # PEM
    Column("username", _NAME),
    Column("password_sealed", LargeBinary),
    Column("sender_address", _ADDRESS),
    Column("archive_address", _ADDRESS),
    Column("timeout_seconds", Integer, nullable=False, default=60),
    Column("concurrency", Integer, nullable=False, default=10),
    Column("created_at", UtcDateTime, nullable=False),
    # Health, written by whoever talks to it:
    Column("last_check_at", UtcDateTime),
    Column("last_check", String(24)),  # success, error; null: not done
    Column("last_check_detail", Text),
    Column("last_connected_at", UtcDateTime),
    Column("last_success_at", UtcDateTime),
)

routes = Table(  # ordered rules; the first that fits a message names its route
    "routes",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("position", Integer, nullable=False),
    Column("is_enabled", Boolean, nullable=False, default=True),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE")),  # null: any user
    Column("conditions", Text, nullable=False, default="{}"),
)

route_upstreams = Table(  # where a route leads: in order of position, shared out by weight
    "route_upstreams",
    metadata,
    Column("route_id", _ID, ForeignKey("routes.id", ondelete="CASCADE"), primary_key=True),
    Column("upstream_id", _ID, ForeignKey("upstreams.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("weight", Integer, nullable=False, default=1),
)

dkim_keys = Table(
    "dkim_keys",
    metadata,
    Column("domain", _NAME, primary_key=True),
    Column("selector", String(64), primary_key=True),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# --- the queue -------------------------------------------------------------------------------

messages = Table(
    "messages",
    metadata,
    Column("id", _ID, primary_key=True),  # also the queue id that the client was told
    Column("accepted_at", UtcDateTime, nullable=False, index=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("origin", String(24), nullable=False),  # queue.accept.Origin: submission, bounce, notice …
    Column("user_id", _ID),
    Column("user_name", _NAME),
    Column("credential_id", _ID),
    Column("peer_address", String(64)),
    Column("helo", _NAME),
    Column("tls", String(64)),
    Column("listener", String(64)),
    Column("login", String(32)),  # the mechanism of AUTH, or mail.session.TRUSTED
    Column("sender", _ADDRESS, nullable=False),
    Column("header_from", _ADDRESS),
    Column("subject", String(255)),
    Column("message_id_field", String(255)),
    Column("tag", String(128)),
    Column("priority", Integer, nullable=False),
    Column("octets", Integer, nullable=False),
    Column("body", String(12), nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("options", Text),  # JSON of the rarer MAIL parameters: RET, ENVID, MT-PRIORITY, BY, REQUIRETLS
)

contents = Table(  # the message in canonical form, not dot-stuffed; gone when nobody needs it any more
    "contents",
    metadata,
    Column("message_id", _ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

recipients = Table(
    "recipients",
    metadata,
    Column("message_id", _ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("part", Integer, nullable=False),  # its delivery
    Column("address", _ADDRESS, nullable=False),
    Column("notify", String(28)),
    Column("orcpt", Text),
    Column("state", EnumText(RecipientState), nullable=False),
    Column("reply", Text),  # the last word about it
    Column("settled_at", UtcDateTime),
    sqlite_with_rowid=False,
)

deliveries = Table(  # the unit of the queue: one message, one route, at most N recipients
    "deliveries",
    metadata,
    Column("message_id", _ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("route_id", _ID, nullable=False),
    Column("state", EnumText(DeliveryState), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("rank_at", UtcDateTime, nullable=False),  # due_at less the head start of its priority
    Column("expires_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),  # those begun
    Column("leased_by", String(64)),
    Column("leased_until", UtcDateTime),
    Column("reason", Text),  # why it waits or is held, in words
    sqlite_with_rowid=False,
)
_partial_index(
    "ix_deliveries_ready",
    deliveries.c.route_id,
    deliveries.c.rank_at,
    where=deliveries.c.state == DeliveryState.QUEUED,
)
_partial_index(
    "ix_deliveries_waiting", deliveries.c.due_at, where=deliveries.c.state == DeliveryState.WAITING
)
_partial_index(
    "ix_deliveries_leased", deliveries.c.leased_until, where=deliveries.c.state == DeliveryState.LEASED
)
_partial_index(  # not those LEASED: what goes from door to door at once is never in it
    "ix_deliveries_resting",
    deliveries.c.expires_at,
    deliveries.c.state,
    where=deliveries.c.state.in_([DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.HELD]),
)

attempts = Table(
    "attempts",
    metadata,
    Column("message_id", _ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("upstream", _NAME),  # its name; null when it came to none
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("remote", _NAME),  # host and address spoken to
    Column("tls", String(64)),
    Column("reply", Text, nullable=False),  # the last word of the attempt as a whole
    Column("replies", Text),  # JSON {recipient number: reply} where they were not all the same
    sqlite_with_rowid=False,
)

# --- telling -----------------------------------------------------------------------------------

notices = Table(
    "notices",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(32), nullable=False),  # notify.plan.Kind
    Column("user_id", _ID),
    Column("facts", Text, nullable=False),  # JSON: what the template may say
    Column("created_at", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime),
)
_partial_index("ix_notices_untold", notices.c.created_at, where=notices.c.told_at.is_(None))

notice_keys = Table(  # when something was last told, so that it is not told too often
    "notice_keys",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("last_at", UtcDateTime, nullable=False),
)

events = Table(  # refused sessions and messages, for "why did my mail not get in?"
    "events",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("user_name", _NAME),
    Column("peer_address", String(64)),
    Column("rule", String(64)),
    Column("reply", Text),
    Column("facts", Text, nullable=False, default="{}"),
)

rollups = Table(  # statistics: one row a group and hour
    "rollups",
    metadata,
    Column("hour", UtcDateTime, primary_key=True),
    Column("user_id", _ID, primary_key=True),
    Column("grouped_by", String(24), primary_key=True),
    Column("group_key", String(255), primary_key=True),
    Column("accepted", Integer, nullable=False, default=0),
    Column("delivered", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
)
