"""One offer of a message, as it went."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from relay.delivery.transports.base import Answers
from relay.routing.upstreams import Kind, Upstream


class Try(NamedTuple):
    """One offer to one upstream: when, how it was secured, and what was answered.

    `reports_on`: it offers DSN, so the reports of success are its to make; `keeps_time`: it offers DELIVERBY.
    `sent` is the message as it was changed for this upstream, where it was; `left_alone` says what was
    to be changed and was not, and why.
    """

    upstream: Upstream
    started_at: datetime
    finished_at: datetime
    answers: Answers
    remote: str | None = None
    tls: str | None = None
    keeps_content: bool = False
    reports_on: bool = False
    keeps_time: bool = False
    sent: bytes | None = None
    left_alone: str | None = None

    @property
    def host(self) -> str | None:
        """The host that was spoken to, where it was a server's."""
        if self.upstream.kind is Kind.MX and self.remote:
            return self.remote.partition(" ")[0]
        return self.upstream.host or None
