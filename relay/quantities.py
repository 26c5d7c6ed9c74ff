"""Durations and whole numbers as people write them: "1d 12h", "25M"."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=36_500)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_NUMBER = re.compile(r"(\d+)\s*(|[KMG]i?B?)", re.IGNORECASE)


def read_duration(text: str) -> timedelta:
    """Read a duration such as "1d 12h", or a plain "0".  Raises ValueError.

    More than LONGEST is read as LONGEST: the moment so far from now can still be written as a date, and is
    as good as never.
    """
    if text.strip() == "0":
        return timedelta(0)
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return timedelta(seconds=min(seconds, LONGEST.total_seconds()))


def render_duration(value: timedelta) -> str:
    """Write a duration so that `read_duration` reads it back."""
    seconds, parts = value.total_seconds(), []
    for unit in ("d", "h", "m"):
        whole, seconds = divmod(seconds, _SECONDS[unit])
        if whole:
            parts.append(f"{whole:.0f}{unit}")
    if seconds or not parts:
        parts.append(f"{seconds:g}s")
    return " ".join(parts)


def read_number(text: str) -> int:
    """Read a whole number, also as "25M", which is in powers of 1024.  Raises ValueError."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(text)
    exponent = " KMG".index(found[2][:1].upper() or " ")
    return int(found[1]) * (1 << 10 * exponent)
