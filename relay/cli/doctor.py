"""relay doctor: is everything as it should be, and if not, what to do."""

from __future__ import annotations

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import FAILED, OK
from relay.cli.shown import Cell, Shown, Table, Tone


@at_the_desk
def doctor(desk: Desk) -> Shown:
    """Check the whole installation; each line says what to do. Exit code 1 if anything is broken."""
    from relay.cli.checkups import examine
    from relay.cli.checkups.finding import Verdict

    tones = {Verdict.OK: Tone.GOOD, Verdict.WARNING: Tone.DOUBTFUL, Verdict.PROBLEM: Tone.BAD}
    findings = examine(desk)
    rows = [
        (Cell(found.verdict.value, tones[found.verdict]), Cell(found.about, Tone.STRONG), found.sentence)
        for found in findings
    ]
    problems = sum(found.verdict is Verdict.PROBLEM for found in findings)
    warnings = sum(found.verdict is Verdict.WARNING for found in findings)
    told = f"Must be mended: {problems or 'nothing'}. Worth a look: {warnings or 'nothing'}."
    return Shown(
        {"is_healthy": not problems, "findings": findings},
        (Table(("", "what", "finding"), rows), told),
        exit_code=FAILED if problems else OK,
    )
