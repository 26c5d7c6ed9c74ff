"""What an extension is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay.mail.reply import Reply

if TYPE_CHECKING:
    from relay.submission.server import Server

# A parameter's value, exactly as it was written, to the envelope's fields that it sets.
Parameter = Callable[["Server", str], Mapping[str, Any]]


class BadParameter(Exception):
    """A parameter of MAIL or RCPT cannot be taken; `reply` says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Extension:
    """One ESMTP extension: its line in the answer to EHLO (None: not here), and its parameters."""

    announce: Callable[[Server], str | None]
    mail_parameters: Mapping[str, Parameter] = field(default_factory=dict)
    rcpt_parameters: Mapping[str, Parameter] = field(default_factory=dict)
