"""The notification that an upstream gives us no token any more: consent has ended, or was taken back."""

from __future__ import annotations

from datetime import timedelta

from relay.queue.items import Notice

KIND = "upstream_token"
_INTERVAL = timedelta(days=1)


def consent_notice(upstream_id: str, upstream: str, *, why: str, notice_id: str) -> Notice:
    """Note that *upstream* cannot be logged in to until somebody does something; told once a day."""
    return Notice(
        id=notice_id,
        kind=KIND,
        user_id=None,
        facts={"upstream": upstream, "why": why[:500]},
        key=f"{KIND}:{upstream_id}",
        interval=_INTERVAL,
    )
