"""From when on a sender is to hear that a message is still on its way."""

from __future__ import annotations

from datetime import datetime

from relay.mail.address import Address
from relay.mail.dsn import asks_for, is_silent
from relay.mail.envelope import Envelope
from relay.settings import Settings


def late_at(envelope: Envelope, accepted_at: datetime, settings: Settings) -> datetime | None:
    """The moment; None if its sender does not want to hear of it, or is nobody.

    With BY in mode N it is the one that the sender set (RFC 2852 §4).
    """
    if envelope.sender == Address.NULL:
        return None
    if envelope.deliver_by is not None and envelope.by_mode in {"N", "NT"}:
        is_wanted = not all(is_silent(recipient.notify) for recipient in envelope.recipients)
        return envelope.deliver_by if is_wanted else None
    if not settings.delay_notice_after:
        return None
    for recipient in envelope.recipients:
        if wants_delay(recipient.notify, settings):
            return max(accepted_at, envelope.hold_until or accepted_at) + settings.delay_notice_after
    return None


def wants_delay(notify: str | None, settings: Settings) -> bool:
    """Whether a recipient's NOTIFY asks for DELAY; who says nothing gets what the settings say."""
    return settings.delay_notice_unasked if notify is None else asks_for(notify, "DELAY")
