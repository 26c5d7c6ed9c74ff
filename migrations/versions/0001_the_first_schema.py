"""The first schema: every noun of the product.

Keys, constraints and indexes without a name here get it from the naming convention of relay.db.tables.
"""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0001"
down_revision = None

ID = sa.String(26)
TABLES = (
    "users",
    "grants",
    "credentials",
    "sender_requests",
    "usage",
    "operators",
    "operator_sessions",
    "api_tokens",
    "audit",
    "settings",
    "revisions",
    "nodes",
    "templates",
    "webhooks",
    "upstreams",
    "routes",
    "route_upstreams",
    "dkim_keys",
    "messages",
    "contents",
    "recipients",
    "deliveries",
    "attempts",
    "notices",
    "notice_keys",
    "events",
    "rollups",
)


def upgrade() -> None:
    make_people()
    make_node()
    make_routing()
    make_queue()
    make_telling()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def make_people() -> None:
    op.create_table(
        "users",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("default_priority", sa.Integer, nullable=False),
        sa.Column("highest_priority", sa.Integer),
        sa.Column("mismatch", sa.String(24), nullable=False),
        sa.Column("default_sender", sa.String(320)),
        sa.Column("contact_address", sa.String(320)),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "grants",
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("pattern", sa.String(320), primary_key=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "credentials",
        sa.Column("id", ID, primary_key=True),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("scram_verifier", sa.Text),
        sa.Column("allowed_networks", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime),
        sa.Column("last_used_at", UtcDateTime),
        sa.Column("last_used_from", sa.String(64)),
        sa.Column("last_used_client", sa.String(255)),
        sa.UniqueConstraint("user_id", "name"),
    )
    op.create_table(
        "sender_requests",
        sa.Column("id", ID, primary_key=True),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("token_hash", sa.String(64)),
        sa.Column("requested_at", UtcDateTime, nullable=False),
        sa.Column("decided_at", UtcDateTime),
        sa.Column("decided_by", sa.String(255)),
    )
    op.create_table(
        "usage",
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("hour", UtcDateTime, primary_key=True),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("recipients", sa.Integer, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "operators",
        sa.Column("id", ID, primary_key=True),
        sa.Column("email", sa.String(320), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "operator_sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column(
            "operator_id", ID, sa.ForeignKey("operators.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime),
        sa.Column("last_used_at", UtcDateTime),
    )
    op.create_table(
        "audit",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )


def make_node() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("subject", sa.String(24), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "templates",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", ID, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )


def make_routing() -> None:
    op.create_table(
        "upstreams",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("host", sa.String(255)),
        sa.Column("port", sa.Integer),
        sa.Column("tls", sa.String(24), nullable=False),
        sa.Column("verify_tls", sa.Boolean, nullable=False),
        sa.Column("pinned_ca", sa.Text),
        sa.Column("username", sa.String(255)),
        sa.Column("password_sealed", sa.LargeBinary),
        sa.Column("sender_address", sa.String(320)),
        sa.Column("archive_address", sa.String(320)),
        sa.Column("timeout_seconds", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_check_at", UtcDateTime),
        sa.Column("last_check", sa.String(24)),
        sa.Column("last_check_detail", sa.Text),
        sa.Column("last_connected_at", UtcDateTime),
        sa.Column("last_success_at", UtcDateTime),
    )
    op.create_table(
        "routes",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE")),
        sa.Column("conditions", sa.Text, nullable=False),
    )
    op.create_table(
        "route_upstreams",
        sa.Column("route_id", ID, sa.ForeignKey("routes.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("upstream_id", ID, sa.ForeignKey("upstreams.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
    )
    op.create_table(
        "dkim_keys",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("selector", sa.String(64), primary_key=True),
        sa.Column("key_sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )


def make_queue() -> None:
    op.create_table(
        "messages",
        sa.Column("id", ID, primary_key=True),
        sa.Column("accepted_at", UtcDateTime, nullable=False, index=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("origin", sa.String(24), nullable=False),
        sa.Column("user_id", ID),
        sa.Column("user_name", sa.String(255)),
        sa.Column("credential_id", ID),
        sa.Column("peer_address", sa.String(64)),
        sa.Column("helo", sa.String(255)),
        sa.Column("tls", sa.String(64)),
        sa.Column("listener", sa.String(64)),
        sa.Column("sender", sa.String(320), nullable=False),
        sa.Column("header_from", sa.String(320)),
        sa.Column("subject", sa.String(255)),
        sa.Column("message_id_field", sa.String(255)),
        sa.Column("tag", sa.String(128)),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("octets", sa.Integer, nullable=False),
        sa.Column("body", sa.String(12), nullable=False),
        sa.Column("smtputf8", sa.Boolean, nullable=False),
        sa.Column("options", sa.Text),
    )
    op.create_table(
        "contents",
        sa.Column("message_id", ID, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        # Most contents live for seconds: compressing each costs more than writing it as it is.
        op.execute("ALTER TABLE contents ALTER COLUMN content SET STORAGE EXTERNAL")
    op.create_table(
        "recipients",
        sa.Column("message_id", ID, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("notify", sa.String(28)),
        sa.Column("orcpt", sa.Text),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("reply", sa.Text),
        sa.Column("settled_at", UtcDateTime),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("message_id", ID, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("route_id", ID, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("rank_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("leased_by", sa.String(64)),
        sa.Column("leased_until", UtcDateTime),
        sa.Column("reason", sa.Text),
        sqlite_with_rowid=False,
    )
    _partial_index("ix_deliveries_leased", "deliveries", ["leased_until"], "state = 'leased'")
    _partial_index("ix_deliveries_ready", "deliveries", ["route_id", "rank_at"], "state = 'queued'")
    _partial_index(
        "ix_deliveries_resting",
        "deliveries",
        ["expires_at", "state"],
        "state IN ('queued', 'waiting', 'held')",
    )
    _partial_index("ix_deliveries_waiting", "deliveries", ["due_at"], "state = 'waiting'")
    op.create_table(
        "attempts",
        sa.Column("message_id", ID, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("upstream", sa.String(255)),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime, nullable=False),
        sa.Column("remote", sa.String(255)),
        sa.Column("tls", sa.String(64)),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("replies", sa.Text),
        sqlite_with_rowid=False,
    )


def make_telling() -> None:
    op.create_table(
        "notices",
        sa.Column("id", ID, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("user_id", ID),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("told_at", UtcDateTime),
    )
    _partial_index("ix_notices_untold", "notices", ["created_at"], "told_at IS NULL")
    op.create_table(
        "notice_keys",
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("last_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False, index=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("user_name", sa.String(255)),
        sa.Column("peer_address", sa.String(64)),
        sa.Column("rule", sa.String(64)),
        sa.Column("reply", sa.Text),
        sa.Column("facts", sa.Text, nullable=False),
    )
    op.create_table(
        "rollups",
        sa.Column("hour", UtcDateTime, primary_key=True),
        sa.Column("user_id", ID, primary_key=True),
        sa.Column("grouped_by", sa.String(24), primary_key=True),
        sa.Column("group_key", sa.String(255), primary_key=True),
        sa.Column("accepted", sa.Integer, nullable=False),
        sa.Column("delivered", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
    )


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
