"""SASL mechanisms as conversations: each yields challenges and is sent responses, until its result.

The result is a Claim (a name and a password that somebody has to verify) or a Proof, which the
conversation checked itself.  What it must know for that it asks for, by yielding an Inquiry.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from relay.accounts.proofs import Candidate, Proofs


class BadResponse(ValueError):
    """The client's response is not what the mechanism's grammar allows."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client says it is, and the password to prove it."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Asks for the Proofs of *name*, which are sent in answer."""

    name: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The end of a conversation that judged for itself: whom it lets in, or why not."""

    name: str
    given: Candidate
    compared_with: Proofs


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a mechanism may know of the connection.

    `end_point` is the binding of type tls-server-end-point (RFC 5929 §4), None where there is none;
    `offers_binding` says whether the client was told of it.
    """

    end_point: bytes | None = None
    offers_binding: bool = False


# The initial response, if the client gave one, is the first thing sent after the first challenge,
# which it then never sees.
Conversation = Generator[bytes | Inquiry, Any, Claim | Proof]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """How to begin a conversation, and whether it needs a channel binding to be offered."""

    begin: Callable[[Circumstances], Conversation]
    binds: bool = False


def text_of(octets: bytes) -> str:
    """Read UTF-8 without NUL.  Raises BadResponse."""
    if b"\0" in octets:
        raise BadResponse("a NUL octet")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadResponse("not UTF-8") from None
