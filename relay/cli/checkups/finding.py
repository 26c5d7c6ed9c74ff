"""What a checkup found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a checkup ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about something, and what to do if it is not well."""

    verdict: Verdict
    about: str
    sentence: str


def ok(about: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, about, sentence)


def warning(about: str, sentence: str) -> Finding:
    """It works, but is probably not meant so."""
    return Finding(Verdict.WARNING, about, sentence)


def problem(about: str, sentence: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.PROBLEM, about, sentence)
