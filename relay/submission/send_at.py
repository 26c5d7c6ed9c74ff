"""X-Relay-Send-At: a date in the header holds the message as HOLDUNTIL does, for clients without ESMTP.

    X-Relay-Send-At: Thu, 24 Dec 2026 18:00:00 +0100
    X-Relay-Send-At: 2026-12-24T18:00:00+01:00

The field is for us and does not leave (see `relay.mail.fixups`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from relay.mail.header import Header
from relay.policy.limits import Limits, lower
from relay.submission import replies
from relay.submission.letter import BadLetter, Letter

if TYPE_CHECKING:
    from relay.submission.handler import Office
    from relay.submission.transaction import Transaction

FIELD = "x-relay-send-at"
_NOT_A_DATE = replies.BAD_HEADER.saying(
    "X-Relay-Send-At is one date with its time zone, as RFC 5322 or RFC 3339 writes it"
)
_TOO_LATE = replies.BAD_HEADER.saying("X-Relay-Send-At lies further ahead than messages are held here")
_BEYOND_BY = replies.BAD_HEADER.saying("X-Relay-Send-At lies beyond the time of BY")
_TWO_DATES = replies.BAD_HEADER.saying("X-Relay-Send-At contradicts HOLDFOR or HOLDUNTIL")


def asks_to_be_held(letter: Letter) -> bool:
    """Whether the header of *letter* says when it is to be sent."""
    return FIELD in letter.header.by_name


def hold_as_asked(
    office: Office, transaction: Transaction, letter: Letter, *, limits: Limits, own: Limits
) -> None:
    """Note in *transaction* until when the header of *letter* wants it held.

    Raises BadLetter, also for what is beyond the server's *limits*, or the user's *own*.
    """
    asked = transaction.parameters
    moment = send_at(
        letter.header,
        asked=asked.get("hold_until"),
        now=office.clock.now(),
        longest=lower(own.longest_hold, limits.longest_hold),
    )
    if "deliver_by" in asked and moment > asked["deliver_by"]:
        raise BadLetter(_BEYOND_BY)
    transaction.ask(hold_until=moment)


def send_at(header: Header, *, asked: datetime | None, now: datetime, longest: timedelta | None) -> datetime:
    """Until when *header* wants the message held.

    Raises BadLetter for what is no date, for a date beyond *longest*, and beside one that MAIL *asked* for.
    """
    fields = header.all(FIELD)
    if asked is not None:
        raise BadLetter(_TWO_DATES)
    moment = _read(fields[0].text) if len(fields) == 1 else None
    if moment is None:
        raise BadLetter(_NOT_A_DATE)
    if longest is not None and moment > now + longest:
        raise BadLetter(_TOO_LATE)
    return moment


def _read(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
            return None if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError, IndexError):
            continue
    return None
