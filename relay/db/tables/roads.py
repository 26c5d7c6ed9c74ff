"""Where mail goes."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, LargeBinary, String, Table, Text

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
    Column("limits", Text, nullable=False, default="{}"),  # routing.limits.Limits as JSON
    Column("options", Text, nullable=False, default="{}"),  # JSON: routing.options.Options
    Column("rewrite", Text, nullable=False, default="{}"),  # mail.rewriting.Rewrite as JSON
    Column("created_at", UtcDateTime, nullable=False),
    # Health, written by whoever talks to it:
    Column("last_check_at", UtcDateTime),
    Column("last_check", String(24)),  # success, error; null: not done
    Column("last_check_detail", Text),
    Column("last_connected_at", UtcDateTime),
    Column("last_success_at", UtcDateTime),
)

upstream_grants = Table(  # what all processes together were given of a limit: see routing.grants
    "upstream_grants",
    metadata,
    Column("upstream_id", ID, ForeignKey("upstreams.id", ondelete="CASCADE"), primary_key=True),
    Column("span", String(24), primary_key=True),  # minute, hour, day; batch, begun
    Column("began", UtcDateTime, nullable=False),  # the window that is counted
    Column("granted", Integer, nullable=False),  # messages
    Column("until", UtcDateTime, nullable=False),  # when the last of them may still begin
)

upstream_standing = Table(  # how an upstream stands with each process, written when that changes
    "upstream_standing",
    metadata,
    Column("upstream_id", ID, ForeignKey("upstreams.id", ondelete="CASCADE"), primary_key=True),
    Column("owner", String(64), primary_key=True),  # as in nodes
    Column("state", String(24), nullable=False),  # routing.standing.State
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),  # of the next probe, or of the next window
    Column("reason", Text),
    Column("slowed_to", Float),  # connections, where it asked for fewer; below 1: with a rest between
)

upstream_tokens = Table(  # of those logged in to with OAuth 2.0; one process at a time gets a new one
    "upstream_tokens",
    metadata,
    Column("upstream_id", ID, ForeignKey("upstreams.id", ondelete="CASCADE"), primary_key=True),
    Column("access_sealed", LargeBinary),
    Column("refresh_sealed", LargeBinary),
    Column("expires_at", UtcDateTime),  # of the access token
    Column("refreshed_at", UtcDateTime),
    Column("lease_owner", NAME),
    Column("lease_until", UtcDateTime),
    Column("fault", Text),  # why the last attempt to get one failed
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
    Column("algorithm", String(24), nullable=False, default="rsa-sha256"),  # mail.dkim.Algorithm
    Column("state", String(24), nullable=False, default="new"),  # routing.dkim_keys.State
    Column("key_sealed", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False, default=b""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime),  # when DNS was last asked for it
    Column("check_detail", Text),  # what it said, in a sentence
)
