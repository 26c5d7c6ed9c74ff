"""The outside of the letter: who sends, to whom, and what the client asked of the road."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from relay.mail.address import Address


class Body(StrEnum):
    """How the content is encoded (RFC 6152, RFC 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Recipient(NamedTuple):
    """One RCPT: `number` counts from 1 within the message; NOTIFY and ORCPT exactly as given (RFC 3461)."""

    number: int
    address: Address
    notify: str | None = None
    orcpt: str | None = None


class Envelope(NamedTuple):
    """One MAIL with its parameters and its recipients.

    `size_declared` is in octets; `ret` and `envid` are RFC 3461's, exactly as given; `mt_priority`
    is -9 to 9 (RFC 6710); `hold_until` comes from HOLDFOR or HOLDUNTIL (RFC 4865); `deliver_by`
    and `by_mode` from BY (RFC 2852), `by_seconds` is what is left of that when it is passed on, less
    than nothing if it is over; `require_tls` is RFC 8689's.
    """

    sender: Address
    recipients: tuple[Recipient, ...] = ()
    body: Body = Body.SEVEN_BIT
    size_declared: int | None = None
    smtputf8: bool = False
    ret: str | None = None
    envid: str | None = None
    mt_priority: int | None = None
    hold_until: datetime | None = None
    deliver_by: datetime | None = None
    by_mode: str | None = None
    by_seconds: int | None = None
    require_tls: bool = False
    auth: str | None = None

    @property
    def is_returned_when_late(self) -> bool:
        """Whether it is of no use to anybody once the time that its sender set is over (RFC 2852 §4)."""
        return self.by_mode in {"R", "RT"}

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self._asdict().items() if name != "auth"]
        return f"Envelope({', '.join(shown)})"
