"""Brevo: POST /v3/smtp/email, with an API key as the password.

It wants HTML, shows no pictures in it, and knows a file by the ending of its name.  Errors have codes; the
message gets a Message-ID of Brevo's own.
https://developers.brevo.com/reference/send-transac-email, .../docs/limit-headers
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from relay.delivery.transports.services.base import Response
from relay.delivery.transports.services.endings import ending_of, refuse_misnamed
from relay.delivery.transports.services.json_service import (
    JsonService,
    Taken,
    ascii_address,
    by_name,
    has_specials,
    in_base64,
    present,
    refuse_fields,
    require_to_and_subject,
)
from relay.mail.bodies import DoesNotFit, File
from relay.mail.encoded import encoded_words
from relay.mail.mailbox import Mailbox

_ENDINGS = frozenset({
    "bmp", "css", "csv", "doc", "docx", "eps", "gif", "htm", "html", "ics", "jpeg", "jpg", "mp3", "mp4",
    "ods", "odt", "pdf", "png", "ppt", "pptx", "rtf", "tar", "tif", "tiff", "txt", "wav", "xls", "xlsx",
    "xml", "zip",
})  # fmt: skip
_MEANT: Mapping[str, int] = {
    "unauthorized": 401,
    "permission_denied": 403,
    "account_under_validation": 403,
    "not_enough_credits": 429,
}


class Brevo(JsonService):
    """An account of Brevo."""

    title = "Brevo"
    path = "/v3/smtp/email"
    probe_path = "/v3/account"
    most_recipients = 99
    most_octets = 20 * 1000 * 1000

    def document(self, taken: Taken) -> Mapping[str, Any]:
        """Mailboxes as objects, and one of them to answer to."""
        pieces = taken.pieces
        require_to_and_subject(pieces)
        if not (pieces.html or "").strip():
            raise DoesNotFit("it has no HTML")
        refuse_fields(pieces.fields, ("Sender.Ip", "Idempotencykey", "X-Mailin-"))
        if len(pieces.reply_to) > 1:
            raise DoesNotFit("Reply-To names more than one")
        for text in (pieces.subject, pieces.text, pieces.html):
            if text and ("{{" in text or "{%" in text):
                raise DoesNotFit("it holds {{ or {%, which Brevo would take for a template's")
        return present(
            sender=_mailbox(pieces.sender),
            to=[_mailbox(each) for each in pieces.to],
            cc=[_mailbox(each) for each in pieces.cc],
            bcc=[_mailbox(each) for each in taken.bcc],
            replyTo=_reply_to(pieces.reply_to[0]) if pieces.reply_to else None,
            subject=pieces.subject,
            textContent=pieces.text,
            htmlContent=pieces.html,
            headers=by_name(pieces.fields),
            attachment=[_attached(file) for file in pieces.files],
        )

    def login(self, key: str) -> Mapping[str, str]:
        """A header of its own."""
        return {"api-key": key}

    def meant(self, response: Response) -> int:
        """The code says more than the status."""
        code = response.document.get("code")
        return _MEANT.get(code, response.status) if isinstance(code, str) else response.status

    def pause(self, response: Response, now: datetime) -> timedelta | None:
        """Who asked too often is told the seconds until he may again."""
        told = response.headers.get("x-sib-ratelimit-reset", "")
        if response.status == 429 and told.isdecimal() and "retry-after" not in response.headers:
            return timedelta(seconds=min(int(told), 86_400))
        return super().pause(response, now)

    def told_id(self, response: Response) -> str:
        """It has a name of its own."""
        return str(response.document.get("messageId") or "")


def _mailbox(mailbox: Mailbox) -> dict[str, str]:
    """Brevo drops a name that is not ASCII and has a comma or the like, unless it is encoded."""
    name = mailbox.name
    if has_specials(name) and not name.isascii():
        name = " ".join(encoded_words(name))
    return present(email=ascii_address(mailbox.address), name=name)


def _reply_to(mailbox: Mailbox) -> dict[str, str]:
    if not mailbox.name.isascii():
        raise DoesNotFit("the name in Reply-To is not ASCII")
    return _mailbox(mailbox)


def _attached(file: File) -> dict[str, str]:
    if file.content_id:
        raise DoesNotFit("its HTML shows a picture that comes with it")
    if not file.name.isascii():
        raise DoesNotFit("the name of a file is not ASCII")
    if ending_of(file.name) not in _ENDINGS:
        raise DoesNotFit(f"{file.name} has an ending that Brevo does not take")
    refuse_misnamed(file)
    return {"name": file.name, "content": in_base64(file.octets)}
