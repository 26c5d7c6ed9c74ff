"""Testing upstreams without being asked, so that a password that ended is known before mail waits for it."""

from __future__ import annotations

from datetime import timedelta

from relay import log
from relay.clock import Clock
from relay.db.database import Database
from relay.delivery.check import check_upstream
from relay.delivery.oauth.tokens import TokenSource
from relay.routing.health import Check, CheckResult, CheckRound, are_checks_due, record_check, take_checks
from relay.routing.routes import RoutingTable


async def check_those_due(
    db: Database, clock: Clock, *, table: RoutingTable, tokens: TokenSource, hostname: str, every: timedelta
) -> int:
    """Walk the steps to each upstream that was last checked longer than *every* ago; return to how many."""
    now = clock.now()
    if not await db.read(are_checks_due, now - every):
        return 0
    due = await db.write(take_checks, CheckRound(now, now - every))
    found = [table.upstreams[upstream_id] for upstream_id in due if upstream_id in table.upstreams]
    for upstream in found:
        if not upstream.can_be_tested:
            continue
        report = await check_upstream(upstream, hostname=hostname, tokens=tokens)
        result = CheckResult.SUCCESS if report.is_good else CheckResult.ERROR
        await db.write(record_check, Check(upstream.id, clock.now(), result, report.verdict))
        log.upstream_checked(upstream=upstream.name, is_good=report.is_good, verdict=report.verdict)
    return len(found)
