"""What was not changed on its way out as it was to be, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("left_alone", sa.Text))


def downgrade() -> None:
    op.drop_column("attempts", "left_alone")
