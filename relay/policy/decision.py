"""What policy says: a value, never an exception."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

    sender: Address


@dataclass(frozen=True, slots=True)
class Accept:
    """Go on; `notices` may still want telling."""

    notices: tuple[SenderMismatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Go on with *sender* in place of the foreign one: at MAIL on the envelope, at DATA in From.

    What From was becomes Reply-To.
    """

    sender: Address
    notices: tuple[SenderMismatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Omit:
    """Go on without the fields that name foreign senders beside From, which is the user's own."""

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


Decision = Accept | Omit | Rewrite | Hold | Reject
ACCEPT = Accept()

_STRICTNESS = (Accept, Omit, Rewrite, Hold, Reject)


def stricter(one: Decision, other: Decision) -> Decision:
    """The stricter of two decisions, with the notices of both."""
    first, second = sorted((one, other), key=lambda decision: -_STRICTNESS.index(type(decision)))
    return replace(first, notices=tuple(dict.fromkeys((*first.notices, *second.notices))))
