"""Logins: how a message's client logged in, and who tried to, counted by day and source."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("messages", sa.Column("login", sa.String(32)))
    op.create_table(
        "login_attempts",
        sa.Column("user_name", sa.String(255), primary_key=True),
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("day", UtcDateTime, primary_key=True),
        sa.Column("mechanism", sa.String(32), primary_key=True),
        sa.Column("result", sa.String(24), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("last_at", UtcDateTime, nullable=False),
        sa.Column("last_from", sa.String(64), nullable=False),
    )
    op.create_index("ix_login_attempts_day", "login_attempts", ["day"])


def downgrade() -> None:
    op.drop_table("login_attempts")
    op.drop_column("messages", "login")
