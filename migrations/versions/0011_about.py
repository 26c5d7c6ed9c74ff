"""Which message a report or an archive's copy is about."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("messages", sa.Column("about_id", sa.String(26)))
    is_set = sa.text("about_id IS NOT NULL")
    op.create_index(
        "ix_messages_about", "messages", ["about_id"], sqlite_where=is_set, postgresql_where=is_set
    )


def downgrade() -> None:
    op.drop_index("ix_messages_about", "messages")
    op.drop_column("messages", "about_id")
