"""8BITMIME (RFC 6152): the message may hold octets above 127."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.mail.envelope import Body
from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension

if TYPE_CHECKING:
    from relay.submission.server import Server

_TAKEN = {body.value: body for body in (Body.SEVEN_BIT, Body.EIGHT_BIT)}


def _body(_server: Server, value: str) -> Mapping[str, Any]:
    body = _TAKEN.get(value.upper())
    if body is None:
        raise BadParameter(replies.BAD_PARAMETER.saying("BODY is 7BIT or 8BITMIME"))
    return {"body": body}


EIGHT_BIT_MIME = Extension(lambda _greeting: "8BITMIME", mail_parameters={"BODY": _body})
