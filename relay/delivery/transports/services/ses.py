"""Amazon SES, version 2: SendEmail with the raw message, signed with SigV4 (permission ses:SendRawEmail).

The user name is the access key's id, the password its secret.  SES sends to the recipients of the
envelope, leaves the header alone, and answers with a MessageId.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from relay.delivery.transports.services.base import Parcel, Request, Response, Service, refuse_reports
from relay.delivery.transports.services.sigv4 import Keys, signed_headers
from relay.routing.upstreams import Upstream

# All of these come as 400, and not one of them is about the message.
_ABOUT_THE_ACCOUNT = frozenset(
    {"AccountSuspendedException", "SendingPausedException", "MailFromDomainNotVerifiedException"}
)
_TOO_MUCH = frozenset({"LimitExceededException", "TooManyRequestsException", "ThrottlingException"})


class Ses(Service):
    """An account of Amazon SES in one region."""

    most_recipients = 50
    most_octets = 40 * 1024 * 1024

    def request(self, parcel: Parcel) -> Request:
        """The message in base64, within JSON."""
        refuse_reports(parcel)
        document = {
            "FromEmailAddress": parcel.envelope.sender.plainest,
            "Destination": {"ToAddresses": [r.address.plainest for r in parcel.recipients]},
            "Content": {"Raw": {"Data": base64.b64encode(parcel.content).decode()}},
        }
        return _signed(parcel.upstream, "POST", "/v2/email/outbound-emails", document, parcel.now)

    def probe(self, upstream: Upstream, now: datetime, token: str | None) -> Request:  # noqa: ARG002
        """Ask for the account's own facts."""
        return _signed(upstream, "GET", "/v2/email/account", None, now)

    def meant(self, response: Response) -> int:
        """The kind of an error stands in a header, behind it perhaps a colon and where it is from."""
        kind = response.headers.get("x-amzn-errortype", "").partition(":")[0]
        if kind in _ABOUT_THE_ACCOUNT:
            return 403
        return 429 if kind in _TOO_MUCH else response.status

    def words(self, response: Response) -> str:
        """Some errors spell "message" with a capital."""
        return str(response.document.get("Message") or super().words(response))

    def told_id(self, response: Response) -> str:
        """It has a name of its own."""
        return str(response.document.get("MessageId") or "")


def _signed(upstream: Upstream, method: str, path: str, document: Any, now: datetime) -> Request:
    content = b"" if document is None else json.dumps(document).encode()
    url = upstream.options.url + path
    headers = signed_headers(
        method,
        url,
        {"Content-Type": "application/json"} if content else {},
        content,
        keys=Keys(upstream.username or "", upstream.password.reveal() if upstream.password else ""),
        region=upstream.options.region,
        service="ses",
        now=now,
    )
    return Request(url, headers, content, method)
