"""Where mail goes."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from relay.db.tables.base import ADDRESS, ID, NAME, metadata
from relay.db.types import UtcDateTime

upstreams = Table(
    "upstreams",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("kind", String(24), nullable=False),  # a key of delivery.transports.TRANSPORTS
    Column("is_enabled", Boolean, nullable=False, default=True),
    Column("host", NAME),
    Column("port", Integer),
    Column("tls", String(24), nullable=False, default="starttls"),  # routing.upstreams.Tls
    Column("verify_tls", Boolean, nullable=False, default=True),
    Column("pinned_ca", Text),  # PEM
    Column("username", NAME),
    Column("password_sealed", LargeBinary),
    Column("sender_address", ADDRESS),
    Column("archive_address", ADDRESS),
    Column("timeout_seconds", Integer, nullable=False, default=60),
    Column("concurrency", Integer, nullable=False, default=10),
    Column("created_at", UtcDateTime, nullable=False),
    # Health, written by whoever talks to it:
    Column("last_check_at", UtcDateTime),
    Column("last_check", String(24)),  # success, error; null: not done
    Column("last_check_detail", Text),
    Column("last_connected_at", UtcDateTime),
    Column("last_success_at", UtcDateTime),
)

routes = Table(  # ordered rules; the first that fits a message names its route
    "routes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("position", Integer, nullable=False),
    Column("is_enabled", Boolean, nullable=False, default=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE")),  # null: any user
    Column("conditions", Text, nullable=False, default="{}"),
)

route_upstreams = Table(  # where a route leads: in order of position, shared out by weight
    "route_upstreams",
    metadata,
    Column("route_id", ID, ForeignKey("routes.id", ondelete="CASCADE"), primary_key=True),
    Column("upstream_id", ID, ForeignKey("upstreams.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("weight", Integer, nullable=False, default=1),
)

dkim_keys = Table(
    "dkim_keys",
    metadata,
    Column("domain", NAME, primary_key=True),
    Column("selector", String(64), primary_key=True),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
