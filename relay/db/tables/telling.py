"""What is to be told, and what was."""

from sqlalchemy import Column, Integer, String, Table, Text

from relay.db.tables.base import ID, NAME, metadata, partial_index
from relay.db.types import UtcDateTime

notices = Table(
    "notices",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(32), nullable=False),  # notify.plan.Kind
    Column("user_id", ID),
    Column("facts", Text, nullable=False),  # JSON: what the template may say
    Column("created_at", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime),
)
partial_index("ix_notices_untold", notices.c.created_at, where=notices.c.told_at.is_(None))

notice_keys = Table(  # when something was last told, so that it is not told too often
    "notice_keys",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("last_at", UtcDateTime, nullable=False),
)

events = Table(  # refused sessions and messages, for "why did my mail not get in?"
    "events",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("user_name", NAME),
    Column("peer_address", String(64)),
    Column("rule", String(64)),
    Column("reply", Text),
    Column("facts", Text, nullable=False, default="{}"),
)

rollups = Table(  # statistics: one row a group and hour
    "rollups",
    metadata,
    Column("hour", UtcDateTime, primary_key=True),
    Column("user_id", ID, primary_key=True),
    Column("grouped_by", String(24), primary_key=True),
    Column("group_key", String(255), primary_key=True),
    Column("accepted", Integer, nullable=False, default=0),
    Column("delivered", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
)
