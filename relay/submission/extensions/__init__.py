"""The ESMTP extensions: one file each, announced only where they work.

An extension is what it adds to the answer to EHLO, and the parameters it gives to MAIL and RCPT.
EXTENSIONS is the whole list, in the order in which they are announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.extensions import (
    auth,
    deliver_by,
    dsn,
    eight_bit,
    future_release,
    limits,
    mt_priority,
    plain_words,
    require_tls,
    size,
    smtputf8,
    starttls,
)
from relay.submission.extensions.base import BadParameter, Extension, Greeting, Parameter

if TYPE_CHECKING:
    from relay.submission.server import Server

__all__ = ["EXTENSIONS", "BadParameter", "announced", "mail_parameters", "rcpt_parameters"]

EXTENSIONS: tuple[Extension, ...] = (
    plain_words.PIPELINING,
    plain_words.CHUNKING,
    size.SIZE,
    starttls.STARTTLS,
    auth.AUTH,
    eight_bit.EIGHT_BIT_MIME,
    smtputf8.SMTPUTF8,
    plain_words.ENHANCED_STATUS_CODES,
    dsn.DSN,
    deliver_by.DELIVER_BY,
    require_tls.REQUIRE_TLS,
    mt_priority.MT_PRIORITY,
    future_release.FUTURE_RELEASE,
    limits.LIMITS,
)

_MAIL: Mapping[str, Parameter] = {k: p for e in EXTENSIONS for k, p in e.mail_parameters.items()}
_RCPT: Mapping[str, Parameter] = {k: p for e in EXTENSIONS for k, p in e.rcpt_parameters.items()}


def announced(server: Server) -> Reply:
    """The answer to EHLO in this session as it is now."""
    return _announced(
        server.hostname,
        Greeting(
            tls=server.port.listener.tls,
            has_tls=server.wire.has_tls,
            mechanisms=auth.mechanisms_for(server),
            limits=server.door.limits(),
            now=server.door.office.clock.now().replace(second=0, microsecond=0),
        ),
    )


@lru_cache(maxsize=64)
def _announced(hostname: str, greeting: Greeting) -> Reply:
    lines = [line for each in EXTENSIONS if (line := each.announce(greeting)) is not None]
    return Reply(250, "", "\n".join([hostname, *lines]))


def mail_parameters(server: Server, words: list[str]) -> dict[str, Any]:
    """Read the parameters of MAIL into the fields of mail.Envelope that they set.

    Raises BadParameter for one that is unknown (555), twice there or has no such value (501).
    """
    if not words:
        return {}
    fields = _read(_MAIL, server, words)
    held, due = fields.get("hold_until"), fields.get("deliver_by")
    if held and due and held > due:  # RFC 4865 §5.2.2
        raise BadParameter(replies.BAD_PARAMETER.saying("The message would be held beyond the time of BY"))
    return fields


def rcpt_parameters(server: Server, words: list[str]) -> dict[str, Any]:
    """Read the parameters of RCPT into the fields of mail.Recipient that they set, likewise."""
    return _read(_RCPT, server, words) if words else {}


def _read(known: Mapping[str, Parameter], server: Server, words: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    seen: set[str] = set()
    if not server.session.facts.is_esmtp:
        raise BadParameter(replies.UNKNOWN_PARAMETER.saying("Parameters need EHLO"))
    for word in words:
        keyword, _, value = word.partition("=")
        keyword = keyword.upper()
        parameter = known.get(keyword)
        if parameter is None:
            shown = keyword[:40].encode("ascii", "backslashreplace").decode("ascii")  # RFC 6531 §3.7.4.2
            raise BadParameter(replies.UNKNOWN_PARAMETER.saying(f"Parameter {shown} not recognised"))
        if keyword in seen:
            raise BadParameter(replies.BAD_PARAMETER.saying(f"Parameter {keyword} given twice"))
        seen.add(keyword)
        read = parameter(server, value)
        if fields.keys() & read.keys():  # as HOLDFOR and HOLDUNTIL (RFC 4865 §4.2)
            raise BadParameter(replies.BAD_PARAMETER.saying(f"Parameter {keyword} contradicts another"))
        fields |= read
    return fields
