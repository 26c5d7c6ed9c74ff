"""The schema.  Every noun of the product has its table; a change comes with a migration.

`people` submit mail and run the relay; `roads` are where it goes; `mail` is the queue; `telling` what
somebody is to hear or may ask; `running` what the processes go by.  Ids are ULIDs (26 characters,
rising with time).  Times are aware UTC.
"""

from relay.db.tables.base import metadata
from relay.db.tables.mail import attempts, contents, deliveries, messages, recipients
from relay.db.tables.people import (
    api_tokens,
    audit,
    credentials,
    grants,
    login_attempts,
    login_bars,
    operator_sessions,
    operators,
    sender_requests,
    usage,
    usage_minutes,
    users,
)
from relay.db.tables.roads import (
    dkim_keys,
    route_upstreams,
    routes,
    upstream_grants,
    upstream_standing,
    upstream_tokens,
    upstreams,
)
from relay.db.tables.running import nodes, revisions, settings, stops, templates, webhooks
from relay.db.tables.telling import events, notice_keys, notices, rollups

__all__ = [
    "api_tokens",
    "attempts",
    "audit",
    "contents",
    "credentials",
    "deliveries",
    "dkim_keys",
    "events",
    "grants",
    "login_attempts",
    "login_bars",
    "messages",
    "metadata",
    "nodes",
    "notice_keys",
    "notices",
    "operator_sessions",
    "operators",
    "recipients",
    "revisions",
    "rollups",
    "route_upstreams",
    "routes",
    "sender_requests",
    "settings",
    "stops",
    "templates",
    "upstream_grants",
    "upstream_standing",
    "upstream_tokens",
    "upstreams",
    "usage",
    "usage_minutes",
    "users",
    "webhooks",
]
