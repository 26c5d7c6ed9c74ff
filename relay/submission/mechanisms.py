"""SASL mechanisms as conversations: each yields challenges, is sent responses, returns a claim."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field


class BadResponse(ValueError):
    """The client's response is not what the mechanism's grammar allows."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client says it is, and the password to prove it."""

    name: str
    password: str = field(repr=False)


# Yields challenges, is sent responses, returns the claim.  The initial response, if the client
# gave one, is the first thing sent after the first challenge, which it then never sees.
Conversation = Generator[bytes, bytes, Claim]


def plain() -> Conversation:
    """PLAIN (RFC 4616): authorization identity, NUL, name, NUL, password, in one response."""
    parts = (yield b"").split(b"\0")
    if len(parts) != 3:
        raise BadResponse("PLAIN is: authorization identity, NUL, user name, NUL, password")
    identity, name, password = (_text(part) for part in parts)
    if not name or not password:
        raise BadResponse("PLAIN needs a user name and a password")
    if identity and identity != name:
        # Acting for somebody else is not offered: RFC 4616 §2 has it fail, as a wrong password does.
        return Claim("", password)
    return Claim(name, password)


def login() -> Conversation:
    """LOGIN, never a standard (draft-murchison-sasl-login): old Outlook wants exactly these two prompts."""
    name = _text((yield b"Username:"))
    password = _text((yield b"Password:"))
    return Claim(name, password)


def _text(octets: bytes) -> str:
    if b"\0" in octets:
        raise BadResponse("a NUL octet")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadResponse("not UTF-8") from None


MECHANISMS: Mapping[str, Callable[[], Conversation]] = {"PLAIN": plain, "LOGIN": login}
