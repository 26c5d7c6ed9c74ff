"""SendGrid: POST /v3/mail/send, with an API key as the password.

It answers 202 with nothing but an X-Message-Id, and keeps a Message-ID that is among the headers.
https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from relay.delivery.transports.services.base import Response, bearer
from relay.delivery.transports.services.json_service import (
    JsonService,
    Taken,
    ascii_address,
    by_name,
    in_base64,
    present,
    quoted,
    refuse_fields,
    require_to_and_subject,
)
from relay.mail.bodies import DoesNotFit, File
from relay.mail.mailbox import Mailbox

_NO_CREDIT = "maximum credits exceeded"


class SendGrid(JsonService):
    """An account of SendGrid."""

    title = "SendGrid"
    path = "/v3/mail/send"
    probe_path = "/v3/scopes"
    most_recipients = 1000
    most_octets = 30 * 1000 * 1000

    def document(self, taken: Taken) -> Mapping[str, Any]:
        """One personalization, since each is a message of its own."""
        pieces = taken.pieces
        require_to_and_subject(pieces)
        refuse_fields(pieces.fields, ("X-Sg-", "X-Smtpapi"))
        headers = by_name(pieces.fields) | ({"Message-ID": pieces.message_id} if pieces.message_id else {})
        texts = [("text/plain", pieces.text), ("text/html", pieces.html)]
        return present(
            personalizations=[
                present(
                    to=[_recipient(each) for each in pieces.to],
                    cc=[_recipient(each) for each in pieces.cc],
                    bcc=[_recipient(each) for each in taken.bcc],
                )
            ],
            **{"from": _mailbox(pieces.sender)},
            reply_to_list=[_mailbox(each) for each in pieces.reply_to],
            subject=pieces.subject,
            content=[{"type": kind, "value": text} for kind, text in texts if text],
            attachments=[_attached(file) for file in pieces.files],
            headers=headers,
        )

    def login(self, key: str) -> Mapping[str, str]:
        """The key is shown as a token is."""
        return bearer(key)

    def meant(self, response: Response) -> int:
        """A sender that is not verified is about the message; an end of credit comes as a bad login."""
        if response.status == 403 and any(error.get("field") == "from" for error in _errors(response)):
            return 422
        if response.status in {401, 403} and _NO_CREDIT in self.words(response).lower():
            return 429
        return response.status

    def words(self, response: Response) -> str:
        """All that it finds wrong."""
        found = [str(error.get("message")) for error in _errors(response)]
        return "; ".join(found) or super().words(response)

    def pause(self, response: Response, now: datetime) -> timedelta | None:
        """Who asked too often is told the second since 1970 from which on he may again."""
        told = response.headers.get("x-ratelimit-reset", "")
        if response.status == 429 and told.isdecimal() and "retry-after" not in response.headers:
            return max(datetime.fromtimestamp(min(int(told), 2**32), UTC) - now, timedelta(0))
        return super().pause(response, now)

    def told_id(self, response: Response) -> str:
        """The body of the answer is empty."""
        return response.headers.get("x-message-id", "")


def _errors(response: Response) -> list[Mapping[str, Any]]:
    found = response.document.get("errors")
    return [error for error in found if isinstance(error, dict)] if isinstance(found, list) else []


def _mailbox(mailbox: Mailbox) -> dict[str, str]:
    return present(email=ascii_address(mailbox.address), name=mailbox.name)


def _recipient(mailbox: Mailbox) -> dict[str, str]:
    """In personalizations SendGrid cuts names at commas and semicolons, unless they are in quotes."""
    needs_quotes = "," in mailbox.name or ";" in mailbox.name
    return _mailbox(mailbox._replace(name=quoted(mailbox.name)) if needs_quotes else mailbox)


def _attached(file: File) -> dict[str, str]:
    if file.kind.startswith("text/") and not file.octets.isascii():
        raise DoesNotFit("a text among its files is not ASCII, and would be sent as Latin-1")
    return {
        "content": in_base64(file.octets),
        "type": file.kind,
        "filename": file.name,
        **(
            {"disposition": "inline", "content_id": file.content_id}
            if file.content_id
            else {"disposition": "attachment"}
        ),
    }
