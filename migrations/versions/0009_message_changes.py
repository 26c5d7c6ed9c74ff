"""How mail is changed before it is sent: senders, texts above and below, keys for DKIM."""

import sqlalchemy as sa
from alembic import op

from relay.db.types import UtcDateTime

revision = "0009"
down_revision = "0005"

_KEY_COLUMNS = (
    sa.Column("algorithm", sa.String(24), nullable=False, server_default="rsa-sha256"),
    sa.Column("state", sa.String(24), nullable=False, server_default="new"),
    sa.Column("public_key", sa.LargeBinary, nullable=False, server_default=""),
    sa.Column("checked_at", UtcDateTime),
    sa.Column("check_detail", sa.Text),
)


def upgrade() -> None:
    for table in ("users", "upstreams"):
        op.add_column(table, sa.Column("rewrite", sa.Text, nullable=False, server_default="{}"))
    for column in _KEY_COLUMNS:
        op.add_column("dkim_keys", column)


def downgrade() -> None:
    for column in _KEY_COLUMNS:
        op.drop_column("dkim_keys", column.name)
    for table in ("users", "upstreams"):
        op.drop_column(table, "rewrite")
