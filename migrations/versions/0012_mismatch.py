"""Which senders of a message were not its user's, and what became of that."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("messages", sa.Column("mismatch", sa.Text))


def downgrade() -> None:
    op.drop_column("messages", "mismatch")
