"""Mailgun: POST /v3/{domain}/messages.mime, the message as a file, with the API key as the password.

Mailgun sends to the addresses in the fields "to", whatever the header says, and answers with an id.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from relay.delivery.transports.services.base import Parcel, Request, Service, refuse_reports
from relay.routing.upstreams import Upstream


class Mailgun(Service):
    """A sending domain at Mailgun."""

    most_recipients = 1000

    def request(self, parcel: Parcel) -> Request:
        """A form with the recipients and the message."""
        refuse_reports(parcel)  # it makes a sender of its own: a report could come back and cause the next
        options = parcel.upstream.options
        content, boundary = form_of([r.address.plainest for r in parcel.recipients], parcel.content)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            **_login(parcel.secret),
        }
        return Request(f"{options.url}/v3/{quote(options.domain)}/messages.mime", headers, content)

    def probe(self, upstream: Upstream, now: datetime, token: str | None) -> Request:  # noqa: ARG002
        """Ask for the facts of the domain."""
        secret = upstream.password.reveal() if upstream.password else ""
        url = f"{upstream.options.url}/v3/domains/{quote(upstream.options.domain)}"
        return Request(url, _login(secret), method="GET")


def form_of(recipients: Sequence[str], content: bytes) -> tuple[bytes, str]:
    """The form as multipart/form-data (RFC 7578), and the boundary that is nowhere in it."""
    boundary = f"relay-{hashlib.sha256(content).hexdigest()[:40]}"
    lead = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="to"\r\n\r\n{address}\r\n'
        for address in recipients
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="message"; filename="message.eml"\r\n'
        "Content-Type: message/rfc822\r\n\r\n"
    )
    return b"".join((lead.encode(), file.encode(), content, f"\r\n--{boundary}--\r\n".encode())), boundary


def _login(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'api:{key}'.encode()).decode()}"}
