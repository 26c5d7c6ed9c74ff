"""A connection in use: how long it stands, and how much it has carried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.delivery.transports.base import Connection
from relay.routing.upstreams import Upstream

MAX_AGE = timedelta(minutes=10)  # so that a change of DNS, or of a certificate, is noticed in the end
MAX_MESSAGES = 1000


@dataclass(slots=True, eq=False)
class Link:
    """An open connection, made with the settings that `upstream` had then.

    `destination` is the domain that it leads to, where each has servers of its own.
    """

    connection: Connection
    upstream: Upstream
    opened_at: datetime
    destination: str = ""
    messages: int = 0

    @property
    def is_fresh(self) -> bool:
        """Whether no message went over it before."""
        return self.messages == 0

    def is_fit(self, upstream: Upstream, destination: str, now: datetime) -> bool:
        """Whether the next message for *upstream*, and for *destination*, may go over it."""
        return (
            self.connection.is_usable
            and self.upstream is upstream
            and self.destination == destination
            and self.messages < (upstream.limits.per_connection or MAX_MESSAGES)
            and now - self.opened_at < MAX_AGE
        )
