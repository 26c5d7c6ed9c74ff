"""Microsoft Graph: POST /users/{mailbox}/sendMail with the message in MIME, base64 (permission Mail.Send).

The mailbox is the upstream's user name.  Graph sends to whomever the header names, keeps a copy in
Sent Items, and answers 202.
"""

from __future__ import annotations

import base64
from urllib.parse import quote

from relay.delivery.transports.services.addressed import addressed
from relay.delivery.transports.services.base import (
    Parcel,
    Request,
    Response,
    Service,
    bearer,
)

# About the message, although some come as 403 or 404; all other refusals there are about the account.
_ABOUT_THE_MESSAGE = frozenset(
    {"ErrorInvalidRecipients", "ErrorSendAsDenied", "ErrorMessageSizeExceeded", "ErrorMimeContentInvalid"}
)


class Graph(Service):
    """A mailbox of Microsoft 365."""

    most_recipients = 500
    most_octets = 3 * 1024 * 1024 - 64 * 1024  # a request has 4 MB at most, and base64 adds a third

    def request(self, parcel: Parcel) -> Request:
        """The message in base64, as text."""
        mailbox = quote(parcel.upstream.username or "me", safe="@")
        return Request(
            f"{parcel.upstream.options.url}/users/{mailbox}/sendMail",
            {"Content-Type": "text/plain", **bearer(parcel.token)},
            base64.b64encode(addressed(parcel)),
        )

    def meant(self, response: Response) -> int:
        """Refusals of the message are 422, whatever they came as."""
        error = response.document.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return 422 if code in _ABOUT_THE_MESSAGE else response.status
