"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's, before it): the client shows an access token.

    C: n,a=ann@example.com,^Ahost=…^Aport=587^Aauth=Bearer <token>^A^A
    C: user=ann@example.com^Aauth=Bearer <token>^A^A                          the same in XOAUTH2
    S: {"status":"invalid_token"}                   as a challenge, if the token is not good
    C: ^A                                           then 535 (RFC 7628 §3.2.3); XOAUTH2: an empty line

Where the client names no user, the token does; where both do, they must mean the same one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from relay.submission.conversation import (
    BadResponse,
    Circumstances,
    Conversation,
    Token,
    Voucher,
    text_of,
)

OAUTHBEARER, XOAUTH2 = "OAUTHBEARER", "XOAUTH2"

_END = "\1"
_HEADER = re.compile(r"[ny],(?:a=([^,]+))?,")
_PAIR = re.compile(r"([A-Za-z]+)=([!-~ \t\r\n]*)")
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750 §2.1
_ESCAPED = {"=2C": ",", "=3D": "="}


def oauthbearer(_circumstances: Circumstances) -> Conversation:
    """OAUTHBEARER, without a channel binding."""
    token = read_oauthbearer(text_of_pairs((yield b"")))
    return (yield from _shown(token, b'{"status":"invalid_token"}'))


def xoauth2(_circumstances: Circumstances) -> Conversation:
    """XOAUTH2, which some programs know that do not know OAUTHBEARER."""
    token = read_xoauth2(text_of_pairs((yield b"")))
    return (yield from _shown(token, b'{"status":"401","schemes":"bearer"}'))


def _shown(token: Token, refusal: bytes) -> Conversation:
    voucher: Voucher = yield token
    if voucher.verdict.user is None:
        yield refusal  # whatever the client says to that, it is not let in
    return voucher


def text_of_pairs(octets: bytes) -> str:
    """The text of a response, whose last pair is ended, and then the whole.  Raises BadResponse."""
    text = text_of(octets)
    if not text.endswith(2 * _END):
        raise BadResponse("the response is not ended by two ^A")
    return text.removesuffix(2 * _END)


def read_oauthbearer(text: str) -> Token:
    """Read what stands before the end of an initial response (RFC 7628 §3.1).  Raises BadResponse."""
    header, _, rest = text.partition(_END)
    found = _HEADER.fullmatch(header)
    if found is None:
        raise BadResponse("not a header of GS2 without channel binding")
    return Token(_unescaped(found[1] or ""), _token_in(_pairs(rest)))


def read_xoauth2(text: str) -> Token:
    """Read what XOAUTH2 has in its place.  Raises BadResponse."""
    user, _, rest = text.partition(_END)
    word, _, name = user.partition("=")
    if word != "user" or not name:
        raise BadResponse("XOAUTH2 begins with user= and a name")
    return Token(name, _token_in(_pairs(rest)))


def _pairs(text: str) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for written in text.split(_END):
        found = _PAIR.fullmatch(written)
        if found is None or found[1] in pairs:
            raise BadResponse("not pairs of a name and a value, each once")
        pairs[found[1]] = found[2]
    return pairs


def _token_in(pairs: Mapping[str, str]) -> str:
    """The token; "" where the client sends none, to be told what would do (RFC 7628 §4.3)."""
    said = pairs.get("auth")
    if said is None:
        raise BadResponse("auth= is missing")
    if not said:
        return ""
    found = _BEARER.fullmatch(said)
    if found is None:
        raise BadResponse("auth= is the word Bearer and a token")
    return found[1]


def _unescaped(name: str) -> str:
    """A comma is written =2C in a name and an equals sign =3D (RFC 5801 §4)."""
    if re.search("=(?!2C|3D)", name):
        raise BadResponse("an equals sign in a name")
    return re.sub("=2C|=3D", lambda found: _ESCAPED[found[0]], name)
