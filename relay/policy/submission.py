"""All that policy may know of what a client asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from relay.mail.address import Address
from relay.mail.envelope import Envelope
from relay.mail.header import Header
from relay.mail.priority import Priority
from relay.mail.session import Session
from relay.policy.decision import Mismatch
from relay.policy.grants import Grants
from relay.policy.limits import Limits, lower

__all__ = ["Limits", "Submission", "User", "lower"]

_NO_LIMITS = Limits()


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
    limits: Limits = _NO_LIMITS


class Submission(NamedTuple):
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
