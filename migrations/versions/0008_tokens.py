"""What only some kinds of upstream need, and the tokens of those that are logged in to with OAuth 2.0."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("upstreams", sa.Column("options", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "upstream_tokens",
        sa.Column("upstream_id", sa.String(26), nullable=False),
        sa.Column("access_sealed", sa.LargeBinary),
        sa.Column("refresh_sealed", sa.LargeBinary),
        sa.Column("expires_at", UtcDateTime),
        sa.Column("refreshed_at", UtcDateTime),
        sa.Column("lease_owner", sa.String(255)),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("fault", sa.Text),
        sa.ForeignKeyConstraint(
            ["upstream_id"], ["upstreams.id"], name="fk_upstream_tokens_upstream_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upstream_id", name="pk_upstream_tokens"),
    )


def downgrade() -> None:
    op.drop_table("upstream_tokens")
    op.drop_column("upstreams", "options")
