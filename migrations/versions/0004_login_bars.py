"""Who is barred from logging in, for all processes."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0004"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "login_bars",
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("source", sa.String(320), nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("kind", "source", name="pk_login_bars"),
    )
    op.create_index("ix_login_bars_until", "login_bars", ["until"])


def downgrade() -> None:
    op.drop_table("login_bars")
