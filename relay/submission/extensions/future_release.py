"""FUTURERELEASE (RFC 4865): the client asks that the message is not sent before a moment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from relay.policy.limits import lower
from relay.settings import render
from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension, Greeting

if TYPE_CHECKING:
    from relay.submission.server import Server

_SECONDS = re.compile(r"[1-9][0-9]{0,8}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_NOT_A_MOMENT = replies.BAD_PARAMETER.saying("HOLDUNTIL is a moment such as 2026-12-24T18:00:00Z (RFC 3339)")


def _announce(greeting: Greeting) -> str | None:
    """The server's limits, in seconds and as a moment (RFC 4865 §3); nothing where holding is off."""
    longest = greeting.limits.longest_hold
    if not longest:
        return None
    latest = (greeting.now + longest).replace(tzinfo=None, microsecond=0)
    return f"FUTURERELEASE {longest.total_seconds():.0f} {latest.isoformat()}Z"


def _hold_for(server: Server, value: str) -> Mapping[str, Any]:
    if not _SECONDS.fullmatch(value):
        raise BadParameter(replies.BAD_PARAMETER.saying("HOLDFOR is a number of seconds"))
    return _held(server, server.door.office.clock.now() + timedelta(seconds=int(value)))


def _hold_until(server: Server, value: str) -> Mapping[str, Any]:
    if not _MOMENT.fullmatch(value):
        raise BadParameter(_NOT_A_MOMENT)
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # the thirtieth of February; past the last day of all
        raise BadParameter(_NOT_A_MOMENT) from None
    return _held(server, moment)


def _held(server: Server, until: datetime) -> Mapping[str, Any]:
    """The parameter's field, unless that is beyond the server's limit or the user's own (RFC 4865 §4.2)."""
    user = server.session.user
    assert user is not None, "the table of verbs asks for a login before MAIL"
    longest = lower(user.limits.longest_hold, server.door.limits().longest_hold)
    if longest is not None and until > server.door.office.clock.now() + longest:
        raise BadParameter(
            replies.BAD_PARAMETER.saying(f"Messages are held here for at most {render(longest)}")
        )
    return {"hold_until": until}


FUTURE_RELEASE = Extension(_announce, mail_parameters={"HOLDFOR": _hold_for, "HOLDUNTIL": _hold_until})
