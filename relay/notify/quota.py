"""Telling that a quota is nearly used up, or is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """What is said of one outcome, with places for the notice's facts."""

    subject: str
    what_happened: str


WORDS: Mapping[str, Words] = {
    "near": Words(
        "{user} has nearly used up a quota",
        "The user {user} has used more than four fifths of {quota}.",
    ),
    "refuse": Words(
        "{user} has used up a quota",
        "The user {user} may send {quota}, and tried to send more. The message was refused for now; the "
        "program that sent it was told to try again later.",
    ),
    "hold": Words(
        "{user} has used up a quota",
        "The user {user} may send {quota}, and sent more. The message was taken and is held, as are those "
        "that follow, until an operator decides.",
    ),
}

LETTER = """\
This is the mail server {hostname}.

{what_happened}

    When: {when}
    From the address: {client}

If this much is meant, ask whoever runs this server for more ("relay user limits" changes it). If it is
not, a program runs wild, or somebody knows the password: ask for a new one now.

You will not hear of this again before the next {window} begins.
"""


def subject_and_text(facts: Mapping[str, str], *, hostname: str, when: str) -> tuple[str, str]:
    """Return the letter about a notice with these *facts*."""
    words = WORDS[facts["outcome"]]
    window = facts["quota"].rpartition(" ")[2]
    text = LETTER.format(
        hostname=hostname,
        what_happened=words.what_happened.format(**facts),
        when=when,
        client=facts["client"],
        window=window,
    )
    return words.subject.format(**facts), text
