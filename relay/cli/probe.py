"""Testing an upstream step by step, showing how far one gets, and remembering it."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from functools import partial
from typing import Any

from relay.cli.desk import Desk
from relay.cli.faults import UNAVAILABLE
from relay.cli.printing import duration
from relay.cli.services import needs_consent
from relay.cli.shown import Cell, Shown, Table, Tone
from relay.clock import SystemClock
from relay.db.database import Database
from relay.db.engine import open_engine
from relay.delivery.check import check_upstream
from relay.delivery.classify import Step
from relay.delivery.findings import Finding, Report
from relay.delivery.oauth.tokens import Tokens
from relay.ids import id_source
from relay.mail.address import Address
from relay.routing.health import Check, CheckResult, Sign, record_check, record_connected, record_success
from relay.routing.soundness import warnings
from relay.routing.tokens import find_token
from relay.routing.upstreams import Kind, Upstream

_WITH_AN_ADDRESS = frozenset({Step.MAIL, Step.RCPT, Step.DATA, Step.BODY, Step.DOT})
_ENDS = {True: Cell("ok", Tone.GOOD), False: Cell("failed", Tone.BAD), None: Cell("–", Tone.QUIET)}


def before_saving(desk: Desk, fresh: Upstream, *, instead_of: Upstream | None = None) -> Report | None:
    """Test *fresh*, if it is new, or reached otherwise than what it stands *instead_of*.

    None: there is nothing to test, or nobody has given the consent that it takes.
    """
    before = instead_of
    if not fresh.can_be_tested or (before is not None and fresh.is_reached_like(before)):
        return None
    if not needs_consent(fresh):
        return walk(desk, fresh)
    # The right to the next token may be good only once: it is used as the relay itself would, or not.
    if before is None or (before.options.oauth, before.password) != (fresh.options.oauth, fresh.password):
        return None
    has_consent = desk.read(find_token, before.id, desk.sealer).refresh is not None
    return walk(desk, fresh, is_stored=True) if has_consent else None


def refusal(report: Report, upstream: Upstream, what: str) -> Shown:
    """What is said of an upstream that did not pass, and so was not *what*: "added", "changed"."""
    why = report.verdict.removesuffix(".")  # it may end in an upstream's own words
    told = f'"{upstream.name}" was not {what}: {why}. Mend it, or save it as it is with --no-test.'
    return Shown(document(report), (steps(report), told), warnings(upstream), exit_code=UNAVAILABLE)


def walk(
    desk: Desk,
    upstream: Upstream,
    *,
    address: Address | None = None,
    letter: bytes | None = None,
    is_stored: bool = False,
) -> Report:
    """Walk the steps to *upstream*; with a *letter*, to *address* and really.

    The tokens of one that is stored already are those of the relay itself.
    """

    async def walked() -> Report:
        check = partial(
            check_upstream, upstream, hostname=desk.config.hostname, address=address, letter=letter
        )
        if upstream.options.oauth is None or not is_stored:
            return await check()
        db = Database(open_engine(desk.config.database_url))
        try:
            owner = f"cli/{os.getpid()}"
            tokens = Tokens(db, SystemClock(), sealer=desk.sealer, owner=owner, new_id=id_source())
            return await check(tokens=tokens)
        finally:
            await db.close()

    return asyncio.run(walked())


def letter_to(address: Address, desk: Desk) -> bytes:
    """A short message from and to *address*."""
    letter = EmailMessage()
    letter["From"] = letter["To"] = str(address)
    letter["Date"] = desk.now
    letter["Message-ID"] = make_msgid(domain=address.domain)
    letter["Subject"] = "Test of an upstream"
    letter.set_content("This is a test. If you can read it, the relay can send by this upstream.\n")
    return letter.as_bytes(policy=SMTP)


def remember(
    desk: Desk,
    upstream: Upstream,
    report: Report,
    *,
    address: Address | None = None,
    was_sent: bool = False,
) -> None:
    """Keep what was found, as the health of the upstream, as far as it says anything about that.

    *address* is the one that it was tested with, if another than its own.
    """
    if is_about(upstream, report, address):
        result = CheckResult.SUCCESS if report.is_good else CheckResult.ERROR
        desk.write(record_check, Check(upstream.id, desk.now, result, report.verdict))
    sign = Sign(upstream.id, desk.now)
    if any(found.step is Step.CONNECT and found.is_good for found in report.findings):
        desk.write(record_connected, sign)
    if was_sent and report.is_good:
        desk.write(record_success, sign)


def is_about(upstream: Upstream, report: Report, address: Address | None) -> bool:
    """Whether *report* tells how *upstream* fares, or only what becomes of mail to *address*.

    Each domain has its own servers; any other upstream may refuse one address and take the next.
    """
    if not report.findings:
        return False
    if report.failed_at is None or address in {None, upstream.own_address}:
        return True
    return upstream.kind is not Kind.MX and report.failed_at not in _WITH_AN_ADDRESS


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
        _ENDS[found.is_good],
        "" if found.is_good is None else duration(timedelta(seconds=found.seconds)),
        f"{found.detail}{hint}",
    )
