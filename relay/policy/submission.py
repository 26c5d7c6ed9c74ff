"""All that policy may know of what a client asks for."""

from __future__ import annotations

from dataclasses import dataclass

from relay.mail.address import Address
from relay.mail.envelope import Envelope
from relay.mail.header import Header
from relay.mail.priority import Priority
from relay.mail.session import Session
from relay.policy.decision import Mismatch
from relay.policy.grants import Grants


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be done at most: a user's own limits, or the server's.  None: no limit of that kind."""

    max_message_bytes: int | None = None
    max_recipients: int | None = None
    max_received_fields: int | None = None


def lower(one: int | None, other: int | None) -> int | None:
    """The smaller of two limits, either of which may be none."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


@dataclass(frozen=True, slots=True)
class User:
    """The user as policy and priority need it, read once at AUTH and good until the accounts change."""

    id: str
    name: str
    grants: Grants
    credential_id: str | None = None
    mismatch: Mismatch = Mismatch.REJECT
    default_sender: Address | None = None
    default_priority: Priority = Priority.NORMAL
    highest_priority: Priority | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Submission:
    """The facts a check decides on.

    `limits` are the server's, `user.limits` the user's.  At MAIL and RCPT there is no header yet, and
    `octets` is 0: then what the envelope declares counts.  At RCPT the envelope already ends with the
    recipient that is asked about.
    """

    session: Session
    envelope: Envelope
    user: User
    limits: Limits
    header: Header | None = None
    octets: int = 0
