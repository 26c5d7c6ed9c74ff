"""Whom a message names in To, Cc and their like."""

from __future__ import annotations

import re

from relay.mail.header import Header
from relay.mail.mailbox import Mailbox, parse_mailbox_list

_EMPTY_GROUP = re.compile(rb"\s*[^:;<>@,]*:\s*;\s*")  # "undisclosed-recipients:;"
MAX_OCTETS = 64 * 1024


def addressees(header: Header, name: str) -> tuple[Mailbox, ...]:
    """The mailboxes in every field called *name* (lower case); an empty group names nobody.

    Raises BadMailbox where it cannot be told for certain whom it names.
    """
    found: tuple[Mailbox, ...] = ()
    for field in header.all(name):
        if field.value.strip() and not _EMPTY_GROUP.fullmatch(field.value):
            found += parse_mailbox_list(field.value, max_octets=MAX_OCTETS)
    return found
