"""How important a message is: every way to name it, and the one way to combine them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import IntEnum


class Priority(IntEnum):
    """1, sent before all others, to 5; so the *smaller* number is the *higher* priority."""

    VERY_HIGH = 1
    HIGH = 2
    NORMAL = 3
    LOW = 4
    VERY_LOW = 5


def from_mt_priority(value: int) -> Priority:
    """Translate MT-PRIORITY, -9 to 9 with 9 the most important (RFC 6710 §3), to our levels (§5)."""
    if value >= 4:
        return Priority.VERY_HIGH
    if value >= 1:
        return Priority.HIGH
    if value == 0:
        return Priority.NORMAL
    return Priority.LOW if value >= -3 else Priority.VERY_LOW


# One value of each level; the profiles of RFC 6710 use such.
_MT_PRIORITY = {
    Priority.VERY_HIGH: 4,
    Priority.HIGH: 2,
    Priority.NORMAL: 0,
    Priority.LOW: -2,
    Priority.VERY_LOW: -4,
}


def to_mt_priority(priority: Priority) -> int:
    """Name *priority* as MT-PRIORITY does."""
    return _MT_PRIORITY[priority]


_WORDS: Mapping[str, Mapping[str, Priority]] = {
    "importance": {"high": Priority.HIGH, "normal": Priority.NORMAL, "low": Priority.LOW},
    "priority": {"urgent": Priority.HIGH, "normal": Priority.NORMAL, "non-urgent": Priority.LOW},
    "x-msmail-priority": {"high": Priority.HIGH, "normal": Priority.NORMAL, "low": Priority.LOW},
}


def from_field(name: str, value: str) -> Priority | None:
    """Read the priority that one header field names; None where it names none.

    `Importance` and `Priority` are RFC 2156 §5.3.4 and §5.3.6 (registered for mail by RFC 4021),
    `X-Priority` and `X-MSMail-Priority` are what mail clients write, `X-SMTPAPI` is JSON with a
    member "priority" from 1 to 5.  A value that makes no sense names nothing: a hint is not worth
    refusing mail for.
    """
    value = value.strip()
    match name:
        case "x-priority":
            found = _FIRST_NUMBER.match(value)
            return _level(found[0]) if found else None
        case "x-smtpapi":
            return _from_smtpapi(value)
        case "mt-priority":
            return _from_mt_priority_field(value)
        case _:
            return _WORDS[name].get(value.lower()) if name in _WORDS else None


_FIRST_NUMBER = re.compile(r"[0-9]+")  # of "1 (Highest)"
_MT_NUMBER = re.compile(r"([+-]?[0-9])(?=\s|\(|$)")  # with a comment behind it, or nothing
FIELDS = frozenset({"x-priority", "x-smtpapi", "mt-priority", *_WORDS})


def _level(text: str) -> Priority | None:
    return Priority(int(text)) if text in {"1", "2", "3", "4", "5"} else None


def _from_mt_priority_field(value: str) -> Priority | None:
    """Read the field that carries MT-PRIORITY over servers without it (RFC 6758)."""
    found = _MT_NUMBER.match(value)
    return from_mt_priority(int(found[1])) if found else None


def _from_smtpapi(value: str) -> Priority | None:
    try:
        named = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(named, dict):
        return None
    wanted = next((v for k, v in named.items() if k.lower() == "priority"), None)
    return _level(str(wanted))


def combine(default: Priority, named: Iterable[Priority | None], highest: Priority | None) -> Priority:
    """The priority a message goes with: the higher of the user's *default* and what it *named*.

    *highest* caps it: nobody raises a message beyond what he is allowed (RFC 6710 §4.1).
    """
    wanted = default
    for priority in named:
        if priority is not None and priority < wanted:
            wanted = priority
    return wanted if highest is None else max(wanted, highest)
