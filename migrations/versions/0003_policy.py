"""What users with a quota a minute sent, by the minute."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "usage_minutes",
        sa.Column("user_id", sa.String(26), nullable=False),
        sa.Column("minute", UtcDateTime, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("recipients", sa.Integer, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_usage_minutes_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "minute", name="pk_usage_minutes"),
    )


def downgrade() -> None:
    op.drop_table("usage_minutes")
