"""What was perhaps delivered, when a delay is told, and what is kept and copied once for all parts."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0005"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("perhaps_delivered", sa.Boolean))
    op.add_column("deliveries", sa.Column("late_at", UtcDateTime))
    op.add_column("deliveries", sa.Column("keeps_content", sa.Boolean))
    op.add_column("deliveries", sa.Column("copied_to", sa.Text))
    is_told_of = sa.text("late_at IS NOT NULL AND state IN ('queued', 'waiting')")
    op.create_index(
        "ix_deliveries_late",
        "deliveries",
        ["late_at"],
        sqlite_where=is_told_of,
        postgresql_where=is_told_of,
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_late", "deliveries")
    op.drop_column("deliveries", "copied_to")
    op.drop_column("deliveries", "keeps_content")
    op.drop_column("deliveries", "late_at")
    op.drop_column("attempts", "perhaps_delivered")
