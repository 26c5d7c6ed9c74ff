"""MT-PRIORITY (RFC 6710): the client names the message's priority, -9 to 9."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension

if TYPE_CHECKING:
    from relay.submission.server import Server

_NUMBER = re.compile(r"-?[1-9]|0")


def _mt_priority(_server: Server, value: str) -> Mapping[str, Any]:
    if not _NUMBER.fullmatch(value):
        raise BadParameter(replies.BAD_PARAMETER.saying("MT-PRIORITY is a number from -9 to 9"))
    return {"mt_priority": int(value)}


MT_PRIORITY = Extension(lambda _greeting: "MT-PRIORITY", mail_parameters={"MT-PRIORITY": _mt_priority})
