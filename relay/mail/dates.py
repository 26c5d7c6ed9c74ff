"""The one way in which dates are written in mail (RFC 5322 §3.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_text(moment: datetime) -> str:
    """Write *moment* as "Fri, 21 Nov 2025 21:35:00 +0000", in English whatever the locale."""
    return _of_second(int(moment.replace(microsecond=0).timestamp()))  # a float, but whole seconds are exact


@lru_cache(maxsize=16)
def _of_second(second: int) -> str:
    """Most messages of one second share their date."""
    at = datetime.fromtimestamp(second, UTC)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04}"
        f" {at.hour:02}:{at.minute:02}:{at.second:02} +0000"
    )
