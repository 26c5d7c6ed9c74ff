"""SIZE (RFC 1870): the client says how large the message will be, and is refused before it sends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension

if TYPE_CHECKING:
    from relay.submission.server import Server

_DIGITS = re.compile(r"[0-9]{1,20}")


def _size(_server: Server, value: str) -> Mapping[str, Any]:
    # Whether that is too much is policy's to say: the user may have a limit of his own.
    if not _DIGITS.fullmatch(value):
        raise BadParameter(replies.BAD_PARAMETER.saying("SIZE is a number of octets"))
    return {"size_declared": int(value)}


SIZE = Extension(
    lambda greeting: f"SIZE {greeting.limits.max_message_bytes or 0}", mail_parameters={"SIZE": _size}
)
