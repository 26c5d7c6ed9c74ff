"""DELIVERBY (RFC 2852): by when the message is to be delivered, and what to do if it is not.

Mode R: it is returned then.  Mode N: its sender is told, and it is tried on.  T asks for a report
from everybody who passes it on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension

if TYPE_CHECKING:
    from relay.submission.server import Server

_BY = re.compile(r"([+-]?[0-9]{1,9});([RN]T?)", re.IGNORECASE)


def _by(server: Server, value: str) -> Mapping[str, Any]:
    found = _BY.fullmatch(value)
    if found is None:
        raise BadParameter(replies.BAD_PARAMETER.saying("BY is a number of seconds, a semicolon, and R or N"))
    seconds, mode = int(found[1]), found[2].upper()
    if seconds <= 0 and mode.startswith("R"):
        # RFC 2852 §4: only a message that is not returned may be late already.
        raise BadParameter(replies.BAD_PARAMETER.saying("BY with R needs some time to deliver the message"))
    now = server.door.office.clock.now()
    return {"deliver_by": now + timedelta(seconds=seconds), "by_mode": mode}


DELIVER_BY = Extension(lambda _greeting: "DELIVERBY", mail_parameters={"BY": _by})
