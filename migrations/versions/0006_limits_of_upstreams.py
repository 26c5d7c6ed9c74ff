"""Limits of upstreams, what was given of them, and how upstreams stand."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0006"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("upstreams", sa.Column("limits", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "upstream_grants",
        sa.Column("upstream_id", sa.String(26), nullable=False),
        sa.Column("span", sa.String(24), nullable=False),
        sa.Column("began", UtcDateTime, nullable=False),
        sa.Column("granted", sa.Integer, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["upstream_id"], ["upstreams.id"], name="fk_upstream_grants_upstream_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upstream_id", "span", name="pk_upstream_grants"),
    )
    op.create_table(
        "upstream_standing",
        sa.Column("upstream_id", sa.String(26), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("until", UtcDateTime),
        sa.Column("reason", sa.Text),
        sa.Column("slowed_to", sa.Float),
        sa.ForeignKeyConstraint(
            ["upstream_id"], ["upstreams.id"], name="fk_upstream_standing_upstream_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upstream_id", "owner", name="pk_upstream_standing"),
    )


def downgrade() -> None:
    op.drop_table("upstream_standing")
    op.drop_table("upstream_grants")
    op.drop_column("upstreams", "limits")
