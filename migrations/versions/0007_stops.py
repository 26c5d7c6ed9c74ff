"""What is stopped in the queue, by whom and why."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0007"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "stops",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("upstream_id", sa.String(26)),
        sa.Column("user_id", sa.String(26)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["upstream_id"], ["upstreams.id"], name="fk_stops_upstream_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_stops_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_stops"),
        sa.UniqueConstraint("upstream_id", name="uq_stops_upstream_id"),
        sa.UniqueConstraint("user_id", name="uq_stops_user_id"),
    )


def downgrade() -> None:
    op.drop_table("stops")
