"""Postmark: POST /email, with a server's API token as the password.

An answer of 200 may leave some recipients out, and says so in its words; refusals come as 422 with an
ErrorCode.  A Message-ID is kept where X-PM-KeepID asks for it.
https://postmarkapp.com/developer/api/email-api, .../overview#error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from relay.delivery.transports.services.base import Parcel, Response
from relay.delivery.transports.services.json_service import (
    JsonService,
    Taken,
    in_base64,
    present,
    refuse_fields,
    written,
)
from relay.mail.bodies import File
from relay.mail.reply import Reply

_INACTIVE_RECIPIENT = 406
# An ErrorCode and the status that it would be elsewhere.  All others are about the message: also a sender
# that is not confirmed (400, 401), because the next message may well have one that is.
_MEANT: Mapping[int, int] = {
    10: 401,  # a bad token
    100: 503,  # maintenance
    405: 429,  # no credit is left
    _INACTIVE_RECIPIENT: 207,  # each recipient has his own word: see `each`
    409: 403,  # headers of the request that are ours to mend
    412: 403,  # the account is not approved yet
    413: 403,  # the account may not send
    429: 429,
}
# Fields by which Postmark is told over SMTP what a member of the document says here
_MEMBERS: Mapping[str, str] = {"X-Pm-Tag": "Tag", "X-Pm-Message-Stream": "MessageStream"}
_LEFT_OUT = re.compile(r"inactive addresses:\s*(.*?)\.\s*(?:Inactive recipients|$)", re.DOTALL)


class Postmark(JsonService):
    """A server of Postmark; in its default stream, unless a field of the message names another."""

    title = "Postmark"
    path = "/email"
    probe_path = "/server"
    most_recipients = 50
    most_octets = 10 * 1024 * 1024

    def document(self, taken: Taken) -> Mapping[str, Any]:
        """Mailboxes as they stand in a header, and the fields in a list, so that one may be there twice."""
        pieces = taken.pieces
        members = {name: value for name, value in pieces.fields if name in _MEMBERS}
        fields = [(name, value) for name, value in pieces.fields if name not in _MEMBERS]
        refuse_fields(fields, ("X-Pm-",))
        if pieces.message_id:
            fields += [("Message-ID", pieces.message_id), ("X-PM-KeepID", "true")]
        return present(
            From=written(pieces.sender),
            To=", ".join(map(written, pieces.to)),
            Cc=", ".join(map(written, pieces.cc)),
            Bcc=", ".join(map(written, taken.bcc)),
            ReplyTo=", ".join(map(written, pieces.reply_to)),
            Subject=pieces.subject,
            **{_MEMBERS[name]: value for name, value in members.items()},
            TextBody=pieces.text,
            HtmlBody=pieces.html,
            Headers=[{"Name": name, "Value": value} for name, value in fields],
            Attachments=[_attached(file) for file in pieces.files],
        )

    def login(self, key: str) -> Mapping[str, str]:
        """A header of its own."""
        return {"X-Postmark-Server-Token": key}

    def meant(self, response: Response) -> int:
        """The ErrorCode says more than the status."""
        code = response.document.get("ErrorCode")
        if not isinstance(code, int) or code == 0:
            return response.status
        return _MEANT.get(code, response.status if response.status >= 400 else 422)

    def words(self, response: Response) -> str:
        """The words, and the number by which Postmark explains them."""
        document = response.document
        said = document.get("Message")
        return f"{said} (ErrorCode {document.get('ErrorCode')})" if said else super().words(response)

    def each(self, parcel: Parcel, response: Response) -> Mapping[int, Reply]:
        """Who bounced or complained before gets nothing; only the words of the answer tell who that is."""
        document = response.document
        told = _LEFT_OUT.search(str(document.get("Message")))
        inactive = {address.strip().lower() for address in told[1].split(",")} if told else set()
        refusal = Reply(550, "2.1", Reply.parse(550, [self.words(response)]).text)
        is_none_taken = document.get("ErrorCode") == _INACTIVE_RECIPIENT
        refused = {
            recipient.number: refusal
            for recipient in parcel.recipients
            if is_none_taken or recipient.address.key in inactive
        }
        return {**super().each(parcel, response), **refused}

    def told_id(self, response: Response) -> str:
        """It has a name of its own."""
        return str(response.document.get("MessageID") or "")


def _attached(file: File) -> dict[str, str]:
    return present(
        Name=file.name,
        Content=in_base64(file.octets),
        ContentType=file.kind,
        ContentID=f"cid:{file.content_id}" if file.content_id else "",
    )
