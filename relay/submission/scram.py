"""SCRAM-SHA-256 (RFC 5802, RFC 7677): the client proves that it knows the password, and so do we.

    C: n,,n=ann,r=<nonce>                                   who, and whether the channel is bound
    S: r=<both nonces>,s=<salt>,i=4096
    C: c=biws,r=<both nonces>,p=<proof>
    S: v=<our proof>                                        as a challenge: 235 has no room for it
    C:                                                      an empty line (RFC 4954 §4)

A channel binding makes the proof worthless on any other TLS connection, so that nobody between can
pass it on.  Of the two types that TLS 1.3 has, OpenSSL gives Python only tls-server-end-point.
"""

from __future__ import annotations

import binascii
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Generator
from typing import NamedTuple

from relay.accounts.profile import is_same_name
from relay.accounts.proofs import WRONG_PASSWORD, Candidate, Proofs
from relay.submission.conversation import (
    NOT_FOR_ANOTHER,
    BadResponse,
    Circumstances,
    Conversation,
    Inquiry,
    Proof,
    text_of,
)

MECHANISM = "SCRAM-SHA-256"
BOUND_MECHANISM = "SCRAM-SHA-256-PLUS"

_BINDING = "tls-server-end-point"
_NONCE_OCTETS = 18
# gs2-header, then username and nonce; whatever extensions come after mean nothing to us (RFC 5802 §7)
_FIRST = re.compile(
    r"(?P<header>(?P<flag>n|y|p=[A-Za-z0-9.-]+),(?:a=(?P<identity>[^,]+))?,)"
    r"(?P<bare>n=(?P<name>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,]+)*)"
)
_FINAL = re.compile(
    r"(?P<unproven>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,]+)*)"
    r",p=(?P<proof>[A-Za-z0-9+/=]+)"
)
_ESCAPE = re.compile(r"=(2C|3D)?")
_MAX_NONCE = 512


class _First(NamedTuple):
    """client-first-message."""

    header: str
    flag: str
    bare: str
    name: str
    nonce: str
    is_for_another: bool


def scram(circumstances: Circumstances) -> Conversation:
    """SCRAM-SHA-256: a client that can bind must not have been kept from it."""
    return _scram(circumstances, is_bound=False)


def scram_plus(circumstances: Circumstances) -> Conversation:
    """SCRAM-SHA-256-PLUS: the same, bound to this TLS connection."""
    return _scram(circumstances, is_bound=True)


def _scram(circumstances: Circumstances, *, is_bound: bool, server_nonce: str | None = None) -> Conversation:
    first = _read_first((yield b""))
    if is_bound != (first.flag[0] == "p"):
        raise BadResponse("the mechanism and the channel binding flag contradict each other")
    if is_bound and first.flag != f"p={_BINDING}":
        raise BadResponse(f"the only channel binding is {_BINDING}")
    compared_with: Proofs = yield Inquiry(first.name)

    nonce = first.nonce + (server_nonce or secrets.token_urlsafe(_NONCE_OCTETS))
    challenge = f"r={nonce},s={b64encode(compared_with.salt).decode()},i={compared_with.iterations}"
    final = _FINAL.fullmatch(text_of((yield challenge.encode())))
    if final is None:
        raise BadResponse("not a client-final-message")

    auth_message = f"{first.bare},{challenge},{final['unproven']}".encode()
    given = compared_with.proven(_octets(final["proof"]), auth_message)
    expected = first.header.encode() + ((circumstances.end_point or b"") if is_bound else b"")
    if given is None:  # the password is wrong, or the name is nobody's: nothing else matters
        why = compared_with.candidates[0].why or WRONG_PASSWORD
    elif final["nonce"] != nonce:
        why = "another nonce than ours"
    elif _octets(final["binding"]) != expected:
        why = "the login is bound to another connection"
    else:
        why = _failure(first, circumstances) or given.why
    if why or given is None:
        return Proof(first.name, Candidate(compared_with.candidates[0].keys, None, why), compared_with)
    yield from _prove_ourselves(given, auth_message)
    return Proof(first.name, given, compared_with)


def _failure(first: _First, circumstances: Circumstances) -> str:
    if first.is_for_another:
        return NOT_FOR_ANOTHER
    if first.flag == "y" and circumstances.offers_binding:
        return "the client could bind the channel, and somebody kept from it that we can (RFC 5802 §6)"
    return ""


def _prove_ourselves(given: Candidate, auth_message: bytes) -> Generator[bytes, bytes, None]:
    signature = b64encode(given.keys.signature(auth_message))
    if (yield b"v=" + signature):
        raise BadResponse("the answer to the server's signature is empty")


def _read_first(octets: bytes) -> _First:
    found = _FIRST.fullmatch(text_of(octets))
    if found is None or len(found["nonce"]) > _MAX_NONCE:
        raise BadResponse("not a client-first-message")
    name, identity = _unescaped(found["name"]), _unescaped(found["identity"] or "")
    is_for_another = bool(identity) and not is_same_name(identity, name)
    return _First(found["header"], found["flag"], found["bare"], name, found["nonce"], is_for_another)


def _unescaped(name: str) -> str:
    """A comma is written =2C in a name, an equals sign =3D, and there is no other "=" (RFC 5802 §5.1)."""
    if any(match[1] is None for match in _ESCAPE.finditer(name)):
        raise BadResponse("an equals sign in a name")
    return name.replace("=2C", ",").replace("=3D", "=")


def _octets(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise BadResponse("not base64") from None
