"""What DSN's parameters may say (RFC 3461 §4), checked and otherwise left exactly as it was written."""

from __future__ import annotations

import re

MAX_ENVID = 100  # RFC 3461 §4.4
MAX_ORCPT = 500  # RFC 3461 §4.2
EVENTS = frozenset({"SUCCESS", "FAILURE", "DELAY"})

# xtext that decodes to printable ASCII and white space, as both parameters must (RFC 3461 §4.2, §4.4).
_XCHAR = r"[!-*,-<>-~]"
_HEXCHAR = r"\+(?:[2-6][0-9A-F]|7[0-9A-E])"
_XTEXT = re.compile(rf"(?:{_XCHAR}|{_HEXCHAR})+")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+\-/?^_`{|}~]++")
# utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3): a backslash stands only before x{…}.
_EMBEDDED = r"\\x\{(?:[1-9A-F][0-9A-F]?|[1-9A-F][0-9A-F]{2,3}|(?:[1-9A-F]|10)[0-9A-F]{4})\}"
_QCHAR = r"[!-*,-<>-\[\]-~]"
_UTF8_XTEXT = re.compile(rf"(?:{_QCHAR}|{_EMBEDDED})+")
_UTF8_UNITEXT = re.compile(rf"(?:{_QCHAR}|{_EMBEDDED}|[\u0080-\ud7ff\ue000-\U0010ffff])+")


def is_ret(value: str) -> bool:
    """Whether *value* says what of the message a report brings back (RFC 3461 §4.3)."""
    return value.upper() in {"FULL", "HDRS"}


def is_envid(value: str) -> bool:
    """Whether *value* is the client's name for the transaction, in xtext (RFC 3461 §4.4)."""
    return len(value) <= MAX_ENVID and _XTEXT.fullmatch(value) is not None


def is_notify(value: str) -> bool:
    """Whether *value* is NEVER, or a list of events with none of them twice (RFC 3461 §4.1)."""
    words = value.upper().split(",")
    return words == ["NEVER"] or (EVENTS.issuperset(words) and len(words) == len(set(words)))


def is_orcpt(value: str, *, smtputf8: bool) -> bool:
    """Whether *value* is an address type and an address (RFC 3461 §4.2).

    Of the type `utf-8` it may be UTF-8 itself in a transaction with SMTPUTF8 (RFC 6533 §3).
    """
    kind, semicolon, address = value.partition(";")
    if not semicolon or len(value) > MAX_ORCPT or not _ATOM.fullmatch(kind):
        return False
    if kind.lower() != "utf-8":
        return _XTEXT.fullmatch(address) is not None
    return (_UTF8_UNITEXT if smtputf8 else _UTF8_XTEXT).fullmatch(address) is not None


def ascii_orcpt(value: str) -> str:
    r"""Write *value* for an upstream without SMTPUTF8: what is not ASCII as `\x{FC}` (RFC 6533 §3)."""
    return "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in value)


def asks_for(notify: str | None, event: str) -> bool:
    """Whether NOTIFY, as it was written, names *event*."""
    return notify is not None and event in notify.upper().split(",")


def is_silent(notify: str | None) -> bool:
    """Whether nothing at all is to be reported of this recipient."""
    return asks_for(notify, "NEVER")
