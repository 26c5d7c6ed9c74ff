"""The priority that a message asked for, where it goes with another."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("messages", sa.Column("priority_asked", sa.Integer))


def downgrade() -> None:
    op.drop_column("messages", "priority_asked")
