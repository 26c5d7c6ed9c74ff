"""What policy says: a value, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.mail.address import Address
from relay.mail.reply import Reply


class Mismatch(StrEnum):
    """What becomes of a message whose sender is not granted to its user."""

    REJECT = "reject"
    HOLD = "hold"
    REWRITE = "rewrite"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class SenderMismatch:
    """A notice to raise: the user sent as *sender*, which is not granted to him."""

    sender: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Go on; `notices` may still want telling."""

    notices: tuple[SenderMismatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Go on with From changed to *sender*; what it was becomes Reply-To."""

    sender: Address
    notices: tuple[SenderMismatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Take it and keep it until an operator decides."""

    reason: str
    notices: tuple[SenderMismatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse with *reply*; *rule* names the check, for the log and for whoever asks why."""

    reply: Reply
    rule: str
    notices: tuple[SenderMismatch, ...] = ()


Decision = Accept | Rewrite | Hold | Reject
ACCEPT = Accept()
