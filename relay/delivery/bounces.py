"""Reporting what failed for good: the door out's side of `relay.notify.bounce`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from relay.delivery.rules import Rules
from relay.notify.bounce import Failure, compose_bounce
from relay.queue.items import Acceptance, Claimed, Origin


def bounces_of(
    claimed: Claimed, content: bytes, failures: Sequence[Failure], now: datetime, rules: Rules
) -> tuple[Acceptance, ...]:
    """The report about *failures*, if anybody is to get one.

    Never about a copy for an archive: its sender did not send it there.
    """
    if not failures or claimed.origin is Origin.ARCHIVE:
        return ()
    bounce = compose_bounce(
        claimed,
        failures,
        content=content,
        hostname=rules.hostname,
        now=now,
        new_id=rules.new_id,
        settings=rules.settings,
        route_of=lambda envelope, user_id: rules.way_for(envelope, user_id, claimed.route_id),
    )
    return () if bounce is None else (bounce,)
