"""The SASL mechanisms (RFC 4422) in the order in which they are announced.

PLAIN and LOGIN come first, for programs that take the first they know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from relay.accounts.profile import is_same_name
from relay.submission.bearer import OAUTHBEARER, XOAUTH2, oauthbearer, xoauth2
from relay.submission.conversation import BadResponse, Circumstances, Claim, Conversation, Mechanism, text_of
from relay.submission.scram import BOUND_MECHANISM, MECHANISM, scram, scram_plus


def plain(_circumstances: Circumstances) -> Conversation:
    """PLAIN (RFC 4616): authorization identity, NUL, name, NUL, password, in one response."""
    parts = (yield b"").split(b"\0")
    if len(parts) != 3:
        raise BadResponse("PLAIN is: authorization identity, NUL, user name, NUL, password")
    identity, name, password = (text_of(part) for part in parts)
    if not name or not password:
        raise BadResponse("PLAIN needs a user name and a password")
    # Acting for somebody else is not offered: RFC 4616 §2 has it fail, as a wrong password does.
    is_for_another = bool(identity) and not is_same_name(identity, name)
    return Claim(name, password, is_for_another)


def login(_circumstances: Circumstances) -> Conversation:
    """LOGIN, never a standard (draft-murchison-sasl-login): old Outlook wants exactly these two prompts."""
    name = text_of((yield b"Username:"))
    password = text_of((yield b"Password:"))
    return Claim(name, password)


MECHANISMS: Mapping[str, Mechanism] = {
    "PLAIN": Mechanism(plain),
    "LOGIN": Mechanism(login),
    MECHANISM: Mechanism(scram),
    BOUND_MECHANISM: Mechanism(scram_plus, binds=True),
    OAUTHBEARER: Mechanism(oauthbearer, takes_tokens=True),
    XOAUTH2: Mechanism(xoauth2, takes_tokens=True),
}


@lru_cache(maxsize=64)
def offered(circumstances: Circumstances) -> tuple[str, ...]:
    """The names of the mechanisms that can be used in these *circumstances*."""
    return tuple([name for name, each in MECHANISMS.items() if each.is_possible(circumstances)])
