"""Reporting what became of a delivery: the door out's side of `relay.notify.report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from relay.delivery.rules import Rules
from relay.notify.report import Action, Fate, compose_report
from relay.queue.items import Acceptance, Claimed, Origin


def reports_of(
    claimed: Claimed,
    content: bytes,
    news: Mapping[Action, Sequence[Fate]],
    now: datetime,
    rules: Rules,
) -> tuple[Acceptance, ...]:
    """The reports of *news*, one for each kind, as far as anybody is to get one.

    Never about a copy for an archive: its sender did not send it there.
    """
    if claimed.origin is Origin.ARCHIVE:
        return ()
    reports = (
        compose_report(
            claimed,
            fates,
            action=action,
            content=content,
            hostname=rules.hostname,
            now=now,
            new_id=rules.new_id,
            settings=rules.settings,
            route_of=lambda envelope, user_id: rules.way_for(envelope, user_id, claimed.route_id),
        )
        for action, fates in news.items()
        if fates
    )
    return tuple(report for report in reports if report is not None)
