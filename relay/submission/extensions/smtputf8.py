"""SMTPUTF8 (RFC 6531): addresses and header fields may be UTF-8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension

if TYPE_CHECKING:
    from relay.submission.server import Server


def _smtputf8(_server: Server, value: str) -> Mapping[str, Any]:
    if value:
        raise BadParameter(replies.BAD_PARAMETER.saying("SMTPUTF8 takes no value"))
    return {"smtputf8": True}


SMTPUTF8 = Extension(lambda _greeting: "SMTPUTF8", mail_parameters={"SMTPUTF8": _smtputf8})
