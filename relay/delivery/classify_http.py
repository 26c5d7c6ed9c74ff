"""What every answer and every fault over HTTP means, in the terms of `relay.delivery.classify`."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

from relay.delivery.classify import Scope, Step, Trouble
from relay.mail.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

# About the message, and trying the same again is useless.
_REFUSED: Mapping[int, tuple[int, str]] = {
    400: (554, "6.0"),
    413: (552, "3.4"),
    415: (554, "6.1"),
    422: (554, "6.0"),
}
# The service is busy, or broke over this message: on the next try it may go through.
_FAILED = frozenset({408, 425, 500, 502, 504})
_SLOW_DOWN, _UNAVAILABLE, _UNAUTHORISED, _FORBIDDEN = 429, 503, 401, 403
_ENHANCED: Mapping[int, str] = {
    _SLOW_DOWN: "4.5",
    _UNAVAILABLE: "3.2",
    _UNAUTHORISED: "7.8",
    _FORBIDDEN: "7.0",
}


def said(status: int, words: str, pause: timedelta | None = None) -> Reply | Trouble:
    """Read an answer that is no success: a Reply is about the message, a Trouble about the upstream.

    *pause* is how long it asked us to wait (Retry-After).  What is neither a refusal of the message
    nor a passing failure is taken for a wrong configuration, and the mail waits until that is mended.
    """
    lines = [words]
    if status in _REFUSED:
        code, enhanced = _REFUSED[status]
        return Reply(code, enhanced, Reply.parse(code, lines).text)
    if status in _FAILED:
        return Reply(451, "3.0", Reply.parse(451, lines).text)
    reply = Reply(451, _ENHANCED.get(status, "3.5"), Reply.parse(451, lines).text)
    return Trouble(reply, Scope.UPSTREAM, Step.MAIL, pause)


def broken(fault: Exception, step: Step) -> Trouble:
    """No answer came: it could not be asked at all, or it was cut off, and may have taken the message."""
    import httpx2  # noqa: PLC0415  whoever calls this has it already

    cause: BaseException | None = fault
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", "") or str(cause.reason or cause).replace("_", " ").lower()
        return Trouble(Reply(451, "7.5", f"TLS cannot be set up: {why}"), Scope.UPSTREAM, Step.MAIL)
    if isinstance(fault, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol):
        why = "no answer in time" if isinstance(fault, httpx2.ConnectTimeout) else str(fault)
        return Trouble(Reply(451, "4.1", f"Cannot connect: {why}"), Scope.UPSTREAM, Step.MAIL)
    if isinstance(fault, httpx2.WriteError | httpx2.WriteTimeout | httpx2.PoolTimeout | httpx2.InvalidURL):
        text = f"The connection was closed before all was sent ({type(fault).__name__})"
        return Trouble(Reply(451, "4.2", text), Scope.CONNECTION, Step.BODY)
    text = f"No answer came to what was sent ({str(fault) or type(fault).__name__})"
    return Trouble(Reply(451, "4.2", text), Scope.CONNECTION, step)
