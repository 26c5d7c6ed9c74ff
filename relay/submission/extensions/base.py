"""What an extension is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from relay.config import TlsMode
from relay.mail.reply import Reply
from relay.policy.submission import Limits

if TYPE_CHECKING:
    from relay.submission.server import Server

# A parameter's value, exactly as it was written, to the envelope's fields that it sets.
Parameter = Callable[["Server", str], Mapping[str, Any]]


class Greeting(NamedTuple):
    """All that the answer to EHLO depends on, so that sessions alike are told the same.

    `tls` is what the listener offers, `mechanisms` those by which the client may log in now; `now` is
    the beginning of this minute.
    """

    tls: TlsMode
    has_tls: bool
    mechanisms: tuple[str, ...]
    limits: Limits
    now: datetime


class BadParameter(Exception):
    """A parameter of MAIL or RCPT cannot be taken; `reply` says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Extension:
    """One ESMTP extension: its line in the answer to EHLO (None: not here), and its parameters."""

    announce: Callable[[Greeting], str | None]
    mail_parameters: Mapping[str, Parameter] = field(default_factory=dict)
    rcpt_parameters: Mapping[str, Parameter] = field(default_factory=dict)
