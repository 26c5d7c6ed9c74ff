"""Testing an upstream step by step, showing how far one gets, and remembering it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from typing import Any

from relay.cli.desk import Desk
from relay.cli.printing import duration
from relay.cli.shown import Cell, Table, Tone
from relay.delivery.check import Finding, Report, check_upstream
from relay.delivery.classify import Step
from relay.mail.address import Address
from relay.routing.health import Check, CheckResult, Sign, record_check, record_connected, record_success
from relay.routing.upstreams import Upstream


def walk(
    desk: Desk, upstream: Upstream, *, address: Address | None = None, letter: bytes | None = None
) -> Report:
    """Walk the steps to *upstream*; with a *letter*, to *address* and really."""
    hostname = desk.config.hostname
    return asyncio.run(check_upstream(upstream, hostname=hostname, address=address, letter=letter))


def letter_to(address: Address, desk: Desk) -> bytes:
    """A short message from and to *address*."""
    letter = EmailMessage()
    letter["From"] = letter["To"] = str(address)
    letter["Date"] = desk.now
    letter["Message-ID"] = make_msgid(domain=address.domain)
    letter["Subject"] = "Test of an upstream"
    letter.set_content("This is a test. If you can read it, the relay can send by this upstream.\n")
    return letter.as_bytes(policy=SMTP)


def remember(desk: Desk, upstream: Upstream, report: Report, *, was_sent: bool = False) -> None:
    """Keep what was found, as the health of the upstream."""
    result = CheckResult.SUCCESS if report.is_good else CheckResult.ERROR
    desk.write(record_check, Check(upstream.id, desk.now, result, report.verdict))
    sign = Sign(upstream.id, desk.now)
    if any(found.step is Step.CONNECT and found.is_good for found in report.findings):
        desk.write(record_connected, sign)
    if was_sent and report.is_good:
        desk.write(record_success, sign)


def steps(report: Report) -> Table:
    """The steps as a table."""
    return Table(("step", "", "took", "what was found"), [_row(each) for each in report.findings])


def document(report: Report) -> dict[str, Any]:
    """The report as --json shows it."""
    return {"is_good": report.is_good, "verdict": report.verdict, "steps": report.findings}


def _row(found: Finding) -> tuple[str | Cell, ...]:
    hint = f"\n→ {found.hint}" if found.hint else ""
    return (
        Cell(found.step.value, Tone.STRONG),
        Cell("ok", Tone.GOOD) if found.is_good else Cell("failed", Tone.BAD),
        duration(timedelta(seconds=found.seconds)),
        f"{found.detail}{hint}",
    )
