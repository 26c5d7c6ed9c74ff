"""The Gmail API: messages.send as a media upload (scope https://www.googleapis.com/auth/gmail.send).

Gmail sends to whomever the header names, from the account that the token is of, and answers with the
message's id.
"""

from __future__ import annotations

from relay.delivery.transports.services.addressed import addressed
from relay.delivery.transports.services.base import (
    Parcel,
    Request,
    Response,
    Service,
    bearer,
)

_TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded"})


class Gmail(Service):
    """An account of Gmail or Google Workspace."""

    most_recipients = 500

    def request(self, parcel: Parcel) -> Request:
        """The message as it is, as an upload."""
        return Request(
            f"{parcel.upstream.options.url}/upload/gmail/v1/users/me/messages/send?uploadType=media",
            {"Content-Type": "message/rfc822", **bearer(parcel.token)},
            addressed(parcel),
        )

    def meant(self, response: Response) -> int:
        """Too much is said with 403 as well as with 429."""
        error = response.document.get("error")
        reasons = error.get("errors") if isinstance(error, dict) else None
        found = (
            {r.get("reason") for r in reasons if isinstance(r, dict)} if isinstance(reasons, list) else set()
        )
        return 429 if response.status == 403 and found & _TOO_FAST else response.status
