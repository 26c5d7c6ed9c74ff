"""Resend: POST /emails, with an API key as the password.

What is tried again within a day is known again by its Idempotency-Key.  Errors have names; the message
gets a Message-ID of Resend's own.
https://resend.com/docs/api-reference/emails/send-email, .../errors
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from relay.delivery.transports.services.base import Parcel, Response, bearer
from relay.delivery.transports.services.endings import refuse_misnamed
from relay.delivery.transports.services.json_service import (
    JsonService,
    Taken,
    ascii_address,
    by_name,
    has_specials,
    in_base64,
    present,
    require_to_and_subject,
    written,
)
from relay.mail.bodies import DoesNotFit, File
from relay.mail.encoded import encoded_words
from relay.mail.mailbox import Mailbox

_MEANT: Mapping[str, int] = {
    "invalid_from_address": 422,
    "security_error": 422,  # it comes as 451, for letters where there should be none
    "concurrent_idempotent_requests": 425,
    "invalid_idempotent_request": 425,  # the same was sent in other words: until the key is forgotten
    "rate_limit_exceeded": 429,
    "daily_quota_exceeded": 429,
    "monthly_quota_exceeded": 429,
    "restricted_api_key": 401,
    "invalid_api_key": 401,
    "suspended_api_key": 403,
}


class Resend(JsonService):
    """A team at Resend."""

    title = "Resend"
    path = "/emails"
    probe_path = "/domains"
    most_recipients = 50
    most_octets = 40 * 1000 * 1000

    def document(self, taken: Taken) -> Mapping[str, Any]:
        """Mailboxes as they stand in a header; an empty text keeps it from making one of the HTML."""
        pieces = taken.pieces
        require_to_and_subject(pieces)
        return present(
            **{"from": _sender(pieces.sender)},
            to=[_recipient(each) for each in pieces.to],
            cc=[_recipient(each) for each in pieces.cc],
            bcc=[_recipient(each) for each in taken.bcc],
            reply_to=[_recipient(each) for each in pieces.reply_to],
            subject=pieces.subject,
            html=pieces.html,
            headers=by_name(pieces.fields),
            attachments=[_attached(file) for file in pieces.files],
        ) | {"text": pieces.text or ""}

    def login(self, key: str) -> Mapping[str, str]:
        """The key is shown as a token is."""
        return bearer(key)

    def marks(self, parcel: Parcel) -> Mapping[str, str]:
        """The same each time the same is tried: the message has our own mark of when it was accepted."""
        digest = hashlib.sha256(parcel.content)
        for recipient in parcel.recipients:
            digest.update(f"\n{recipient.address.key}".encode())
        return {"Idempotency-Key": digest.hexdigest()}

    def knows_us(self, response: Response) -> bool:
        """A key that may only send may not ask, and is told so."""
        return response.document.get("name") == "restricted_api_key" or super().knows_us(response)

    def meant(self, response: Response) -> int:
        """The name says more than the status."""
        name = response.document.get("name")
        if name == "validation_error" and response.status == 403:
            return 422  # a domain that is not verified: the next message may be from another
        return _MEANT.get(name, response.status) if isinstance(name, str) else response.status


def _sender(mailbox: Mailbox) -> str:
    """Resend takes From without quotes and encoded words only, and so no name that needs them."""
    if has_specials(mailbox.name.replace(".", "")):
        raise DoesNotFit("the name in From holds a comma or the like")
    address = ascii_address(mailbox.address)
    return f"{mailbox.name} <{address}>" if mailbox.name else address


def _recipient(mailbox: Mailbox) -> str:
    """Nor does it take quotes elsewhere, but there encoded words say the same."""
    if has_specials(mailbox.name):
        return f"{' '.join(encoded_words(mailbox.name))} <{ascii_address(mailbox.address)}>"
    return written(mailbox)


def _attached(file: File) -> dict[str, str]:
    """A message with a file whose name and type differ would be taken, and never sent."""
    refuse_misnamed(file)
    return present(
        filename=file.name,
        content=in_base64(file.octets),
        content_type=file.kind,
        content_id=file.content_id,
    )
