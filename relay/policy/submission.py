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
    """What a user may do at most; None: no limit but the server's own."""

    max_message_bytes: int | None = None
    max_recipients: int | None = None


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
    """The facts a check decides on; at MAIL and RCPT there is no header yet, and `octets` is as declared."""

    session: Session
    envelope: Envelope
    user: User
    limits: Limits
    header: Header | None = None
    octets: int = 0
