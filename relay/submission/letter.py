"""What DATA brought, made into the one form in which it is checked, kept and sent on."""

from __future__ import annotations

from typing import NamedTuple

from relay.mail import lines
from relay.mail.header import BadHeader, Header, scan
from relay.mail.reply import Reply
from relay.settings import Settings
from relay.submission import replies


class BadLetter(Exception):
    """The message cannot be taken as it is; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Letter(NamedTuple):
    """A message in canonical form: not dot-stuffed, every line ended by CRLF; and its header."""

    content: bytes
    header: Header


def read_letter(data: bytes, *, is_dot_stuffed: bool, settings: Settings) -> Letter:
    """Undo the dot-stuffing of *data* if it came by DATA, settle its line ends, and find its header.

    The line ends come before the header: what policy reads must be what the upstream receives.
    Raises BadLetter for what the *settings* do not allow, and for a header that cannot be understood in
    only one way.
    """
    content = lines.dot_unstuffed(data) if is_dot_stuffed else data
    if settings.refuse_bare_newlines and lines.has_bare(content):
        raise BadLetter(replies.BARE_NEWLINE)
    content = lines.normalised(content)
    if lines.has_longer(content, settings.max_line_bytes):
        words = f"A line of the message is longer than {settings.max_line_bytes} octets"
        raise BadLetter(replies.LINE_OF_MESSAGE_TOO_LONG.saying(words))
    try:
        header = scan(content)
    except BadHeader as fault:
        raise BadLetter(replies.BAD_HEADER.saying(f"Bad message header: {fault}")) from None
    if header.end > settings.max_header_bytes:
        words = f"Bad message header: the header is longer than {settings.max_header_bytes} octets"
        raise BadLetter(replies.BAD_HEADER.saying(words))
    if len(header.fields) > settings.max_header_fields:
        words = f"Bad message header: the header has more than {settings.max_header_fields} fields"
        raise BadLetter(replies.BAD_HEADER.saying(words))
    return Letter(content, header)
