"""SASL mechanisms as conversations: each yields challenges and is sent responses, until its result.

The result is a Claim (a name and a password that somebody has to verify), a Proof, which the
conversation checked itself, or a Voucher for a token.  What it must know for that it asks for, by
yielding an Inquiry, or the Token.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from relay.accounts.proofs import Candidate, Proofs
from relay.accounts.verifier import Verdict

NOT_FOR_ANOTHER = "to act for another user is not offered"


class BadResponse(ValueError):
    """The client's response is not what the mechanism's grammar allows."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client says it is, and the password to prove it."""

    name: str
    password: str = field(repr=False)
    is_for_another: bool = False  # the client wants to act for another user


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
class Token:
    """Asks whom a token speaks for, which a Voucher answers; `name` is who the client says it is, or ""."""

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Voucher:
    """What became of a token: the name it was judged under, and whom it lets in.  A failure is counted."""

    name: str
    verdict: Verdict


class Circumstances(NamedTuple):
    """What a mechanism may know of the connection.

    `end_point` is the binding of type tls-server-end-point (RFC 5929 §4), None where there is none;
    `offers_binding` says whether the client was told of it; `has_issuer`, whether we take tokens.
    """

    end_point: bytes | None = None
    offers_binding: bool = False
    has_issuer: bool = False


# The initial response, if the client gave one, is the first thing sent after the first challenge,
# which it then never sees.
Conversation = Generator[bytes | Inquiry | Token, Any, Claim | Proof | Voucher]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """How to begin a conversation, and what it needs: a channel binding, an issuer of tokens."""

    begin: Callable[[Circumstances], Conversation]
    binds: bool = False
    takes_tokens: bool = False

    def is_possible(self, circumstances: Circumstances) -> bool:
        """Whether what it needs is there."""
        return (circumstances.offers_binding or not self.binds) and (
            circumstances.has_issuer or not self.takes_tokens
        )


def text_of(octets: bytes) -> str:
    """Read UTF-8 without NUL.  Raises BadResponse."""
    if b"\0" in octets:
        raise BadResponse("a NUL octet")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadResponse("not UTF-8") from None
