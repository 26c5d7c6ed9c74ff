"""What DATA brought, made into the one form in which it is checked, kept and sent on."""

from __future__ import annotations

from dataclasses import dataclass

from relay.mail import lines
from relay.mail.header import BadHeader, Header, scan
from relay.mail.reply import Reply
from relay.submission import replies


class BadLetter(Exception):
    """The message cannot be taken as it is; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in canonical form: not dot-stuffed, every line ended by CRLF; and its header."""

    content: bytes
    header: Header


def read_letter(data: bytes, *, is_dot_stuffed: bool, refuse_bare: bool) -> Letter:
    """Undo the dot-stuffing of *data* if it came by DATA, settle its line ends, and find its header.

    The line ends come before the header: what policy reads must be what the upstream receives.
    Raises BadLetter for a bare CR or LF if they are to be refused, and for a header that cannot be
    understood in only one way.
    """
    content = lines.dot_unstuffed(data) if is_dot_stuffed else data
    if refuse_bare and lines.has_bare(content):
        raise BadLetter(replies.BARE_NEWLINE)
    content = lines.normalised(content)
    try:
        return Letter(content, scan(content))
    except BadHeader as fault:
        raise BadLetter(replies.BAD_HEADER.saying(f"Bad message header: {fault}")) from None
