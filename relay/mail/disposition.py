"""What one recipient got from one attempt."""

from dataclasses import dataclass
from enum import StrEnum

from relay.mail.reply import Reply


class Disposition(StrEnum):
    """The three ends an attempt can have for a recipient."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one answer that recipient *number* of a message got from one attempt."""

    number: int
    disposition: Disposition
    reply: Reply


def disposition_of(reply: Reply) -> Disposition:
    """Say what *reply*, the last word to a recipient, means for it.

    Only 2xx is success; whatever is neither 2xx nor 5xx is worth another try, also replies that
    have no business there, such as 1xx and 3xx (RFC 5321 §4.2.1, §4.3.2).
    """
    if reply.is_success:
        return Disposition.DELIVERED
    return Disposition.FAILED if reply.is_permanent else Disposition.DEFERRED
