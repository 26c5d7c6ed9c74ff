"""What runs, and how."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from relay.db.tables.base import ID, NAME, metadata
from relay.db.types import UtcDateTime

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

stops = Table(  # mail that may not move: to one upstream, of one user, or all if neither is named
    "stops",
    metadata,
    Column("id", ID, primary_key=True),
    Column("upstream_id", ID, ForeignKey("upstreams.id", ondelete="CASCADE"), unique=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), unique=True),
    Column("reason", Text, nullable=False),
    Column("by", NAME, nullable=False),
    Column("at", UtcDateTime, nullable=False),
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
    Column("id", ID, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("events", Text, nullable=False),
    Column("is_enabled", Boolean, nullable=False, default=True),
    Column("created_at", UtcDateTime, nullable=False),
)
