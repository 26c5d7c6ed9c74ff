"""What a domain demands of those who bring it mail: MTA-STS (RFC 8461), its record and its policy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

MOST_OCTETS = 64 * 1024  # RFC 8461 §3.3: of a policy
LONGEST_AGE = timedelta(seconds=31_557_600)  # RFC 8461 §3.2: about a year

_RECORD = re.compile(r"v=STSv1[ \t]*;.*", re.DOTALL)
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*)[ \t]*:[ \t]*(.*?)[ \t]*")


class BadPolicy(ValueError):
    """What a domain published is no policy; the message says why."""


class Mode(StrEnum):
    """How much a policy means."""

    ENFORCE = "enforce"
    TESTING = "testing"  # mail is brought all the same
    NONE = "none"  # there is no policy any more


@dataclass(frozen=True, slots=True)
class Policy:
    """Which exchangers are a domain's own, and whether mail must reach them by TLS that is verified."""

    mode: Mode
    max_age: timedelta
    patterns: tuple[str, ...] = ()

    @property
    def is_enforced(self) -> bool:
        """Whether mail goes by this policy or not at all."""
        return self.mode is Mode.ENFORCE

    def names(self, host: str) -> bool:
        """Whether *host* is one of its exchangers; a star stands for one label (RFC 8461 §4.1)."""
        host = host.rstrip(".").lower()
        _, dot, parent = host.partition(".")
        return host in self.patterns or (bool(dot) and f"*.{parent}" in self.patterns)


def policy_id(texts: Iterable[bytes]) -> str | None:
    """The id of the policy in force, from the TXT records of `_mta-sts.<domain>` (RFC 8461 §3.1).

    None: the domain has no policy, which is also what more than one record mean.
    """
    found = [text for each in texts if _RECORD.fullmatch(text := each.decode("ascii", "replace"))]
    if len(found) != 1:
        return None
    fields = dict(field.strip().partition("=")[::2] for field in found[0].split(";"))
    identity = fields.get("id", "")
    return identity if _ID.fullmatch(identity) else None


def parse_policy(octets: bytes) -> Policy:
    """Read a policy (RFC 8461 §3.2): of a field given twice the first counts, but for "mx".

    Fields that nobody knows are passed over.  Raises BadPolicy.
    """
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in octets.decode("utf-8", "replace").splitlines():
        if not line.strip():
            continue
        if (field := _FIELD.fullmatch(line)) is None:
            raise BadPolicy("a line of it is no field")
        if field[1] == "mx":
            patterns.append(field[2].rstrip(".").lower())
        else:
            fields.setdefault(field[1], field[2])
    if fields.get("version") != "STSv1":
        raise BadPolicy("its version is not STSv1")
    if fields.get("mode") not in list(Mode):
        raise BadPolicy("its mode is none of enforce, testing and none")
    mode, age = Mode(fields["mode"]), fields.get("max_age", "")
    if not (age.isdecimal() and age.isascii() and len(age) <= 10):
        raise BadPolicy("its max_age is no number of seconds")
    if mode is not Mode.NONE and not patterns:
        raise BadPolicy("it names no exchanger")
    return Policy(mode, min(timedelta(seconds=int(age)), LONGEST_AGE), tuple(patterns))
