"""Who submits, who runs it, and what they did."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from relay.db.tables.base import ADDRESS, ID, NAME, metadata
from relay.db.types import UtcDateTime

users = Table(
    "users",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),  # the login name, case folded
    Column("is_active", Boolean, nullable=False, default=True),
    Column("default_priority", Integer, nullable=False, default=3),
    Column("highest_priority", Integer),  # the cap; null: none
    Column("mismatch", String(24), nullable=False, default="reject"),  # policy.decision.Mismatch
    Column("default_sender", ADDRESS),  # what `rewrite` makes of a foreign From
    Column("contact_address", ADDRESS),  # where notifications to the user go
    Column("notes", Text, nullable=False, default=""),
    Column("limits", Text, nullable=False, default="{}"),  # policy.Limits as JSON
    Column("rewrite", Text, nullable=False, default="{}"),  # mail.rewriting.Rewrite as JSON
    Column("created_at", UtcDateTime, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    # "ann@example.com", "example.com" or "*.example.com", in the folded form of mail.Address.key
    Column("pattern", ADDRESS, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", NAME, nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("scram_verifier", Text),
    Column("allowed_networks", Text, nullable=False, default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("last_used_from", String(64)),
    Column("last_used_client", NAME),
    UniqueConstraint("user_id", "name"),
)

login_attempts = Table(  # who tried to log in, counted by day and source; "" is any name that nobody has
    "login_attempts",
    metadata,
    Column("user_name", NAME, primary_key=True),
    Column("network", String(64), primary_key=True),  # the /24 or /64 of the client
    Column("day", UtcDateTime, primary_key=True, index=True),
    Column("mechanism", String(32), primary_key=True),
    Column("result", String(24), primary_key=True),  # accounts.attempts.Result
    Column("count", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("last_from", String(64), nullable=False),
)

login_bars = Table(  # who may not try to log in for a while: submission.guard.By, and the source of that kind
    "login_bars",
    metadata,
    Column("kind", String(24), primary_key=True),
    Column("source", String(320), primary_key=True),
    Column("until", UtcDateTime, nullable=False, index=True),
)

sender_requests = Table(
    "sender_requests",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("address", ADDRESS, nullable=False),
    Column("state", String(24), nullable=False),
    Column("token_hash", String(64)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("decided_by", NAME),
)

usage = Table(  # what a user sent within one hour
    "usage",
    metadata,
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
    Column("octets", BigInteger, nullable=False),
)

usage_minutes = Table(  # the same within one minute, only of users with a quota a minute
    "usage_minutes",
    metadata,
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("minute", UtcDateTime, primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
    Column("octets", BigInteger, nullable=False),
)

operators = Table(
    "operators",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", ADDRESS, nullable=False, unique=True),
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
    Column("operator_id", ID, ForeignKey("operators.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", NAME, nullable=False),
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
    Column("id", ID, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", NAME, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", NAME, nullable=False),
    Column("detail", Text, nullable=False, default="{}"),
)
