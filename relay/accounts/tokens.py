"""Access tokens as signed JWTs (RFC 7519, RFC 9068): whom one speaks for.

Octets in, a name out: no sockets, no waiting.  What RFC 8725 warns of is kept in mind: a key is good for
one algorithm, which follows from the key and never from the token; `none` and shared secrets are no
algorithms here; a token for somebody else, or of another kind, is none for us.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

MAX_TOKEN_OCTETS = 8 * 1024
MAX_KEYS = 100
LEEWAY = timedelta(seconds=60)  # by so much two machines' clocks may differ
_LEAST_RSA_BITS = 2048
_TYPES = frozenset({"jwt", "at+jwt"})
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


class BadToken(ValueError):
    """The token speaks for nobody; the message says why, for the log and never for the client."""


class BadKeys(ValueError):
    """What should be a set of keys (RFC 7517 §5) is none; the message says why."""


# Whether a signature (the second) of octets (the first) is the key's.
Check = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, and the one algorithm it is used with (RFC 7518 §3.1, RFC 8037)."""

    id: str | None
    algorithm: str
    signed: Check


@dataclass(frozen=True, slots=True)
class Terms:
    """Which tokens are taken: whose, for whom, and the claim that holds our user's name."""

    issuer: str
    audience: str
    claim: str


def user_named_in(token: str, keys: tuple[Key, ...], terms: Terms, now: datetime) -> str:
    """Return the name in *token*, once its signature and its claims were found good.  Raises BadToken."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN_OCTETS or len(parts) != 3:
        raise BadToken("not a signed JWT of a bearable size")
    header = _object(parts[0])
    key = _key_for(header, keys)
    if not key.signed(f"{parts[0]}.{parts[1]}".encode(), _octets(parts[2])):
        raise BadToken("the signature is not the issuer's")
    claims = _object(parts[1])
    _check_times(claims, now)
    if claims.get("iss") != terms.issuer:
        raise BadToken("of another issuer")
    audience = claims.get("aud")
    if terms.audience not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("for another audience")
    return _name(claims, terms.claim)


def key_id(token: str) -> str | None:
    """The `kid` that *token* names before anything of it is believed.  Raises BadToken."""
    named = _object(token[:MAX_TOKEN_OCTETS].partition(".")[0]).get("kid")
    if named is not None and not isinstance(named, str):
        raise BadToken("kid is not text")
    return named


def read_keys(document: bytes) -> tuple[Key, ...]:
    """Read those keys of a set that sign in one of our algorithms.  Raises BadKeys if there are none."""
    try:
        members = json.loads(document)["keys"][:MAX_KEYS]
        found = [key for each in members if (key := _read_key(each)) is not None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise BadKeys(f"not a set of keys (RFC 7517): {fault!r}") from None
    if not found:
        raise BadKeys("there is no key for RS256, ES256 or EdDSA in it")
    return tuple(found)


# --- the token ------------------------------------------------------------------------------------


def _key_for(header: Mapping[str, Any], keys: tuple[Key, ...]) -> Key:
    if "crit" in header:
        raise BadToken("it must be understood in a way that we do not (crit)")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise BadToken("a token of another kind (typ)")
    named = header.get("kid")
    fitting = [
        key for key in keys if key.algorithm == header.get("alg") and (named is None or key.id == named)
    ]
    if not fitting:
        raise BadToken("there is no such key for this algorithm")
    if len(fitting) > 1:
        raise BadToken("it does not say which key")
    return fitting[0]


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    ends, begins = _moment(claims, "exp"), _moment(claims, "nbf")
    if ends is None:
        raise BadToken("it never expires")
    if now.timestamp() >= ends + LEEWAY.total_seconds():
        raise BadToken("it expired")
    if begins is not None and now.timestamp() < begins - LEEWAY.total_seconds():
        raise BadToken("it is not good yet")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadToken(f"{name} is not a number")
    return value


def _name(claims: Mapping[str, Any], claim: str) -> str:
    name = claims.get(claim)
    if not isinstance(name, str) or not name:
        raise BadToken(f'it has no claim "{claim}"')
    if claim == "email" and claims.get("email_verified", True) in (False, "false"):
        raise BadToken("its e-mail address was never verified")
    return name


def _object(segment: str) -> dict[str, Any]:
    try:
        found = json.loads(_octets(segment), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadToken("not JSON") from None
    if not isinstance(found, dict):
        raise BadToken("not a JSON object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _octets(segment: str) -> bytes:
    """Decode base64url without padding (RFC 7515 §2)."""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise BadToken("not base64url")
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


# --- the keys -------------------------------------------------------------------------------------


def _read_key(member: Mapping[str, Any]) -> Key | None:
    """A key of a set; None for one that is for something else, or too weak."""
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        return None
    kind = (member.get("kty"), member.get("crv"))
    match kind:
        case ("RSA", None):
            algorithm, check = "RS256", _rsa(member)
        case ("EC", "P-256"):
            algorithm, check = "ES256", _p256(member)
        case ("OKP", "Ed25519"):
            algorithm, check = "EdDSA", _ed25519(member)
        case _:
            return None
    if check is None or member.get("alg", algorithm) not in {algorithm, kind[1]}:
        return None
    return Key(member.get("kid"), algorithm, check)


def _rsa(member: Mapping[str, Any]) -> Check | None:
    key = rsa.RSAPublicNumbers(_number(member["e"]), _number(member["n"])).public_key()
    if key.key_size < _LEAST_RSA_BITS:
        return None
    return _checking(lambda said, signature: key.verify(signature, said, padding.PKCS1v15(), SHA256()))


def _p256(member: Mapping[str, Any]) -> Check:
    point = ec.EllipticCurvePublicNumbers(_number(member["x"]), _number(member["y"]), ec.SECP256R1())
    key = point.public_key()

    def verify(said: bytes, signature: bytes) -> None:
        if len(signature) != 64:  # two numbers of the curve's size (RFC 7518 §3.4)
            raise InvalidSignature
        halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(*halves), said, ec.ECDSA(SHA256()))

    return _checking(verify)


def _ed25519(member: Mapping[str, Any]) -> Check:
    key = ed25519.Ed25519PublicKey.from_public_bytes(_octets(member["x"]))
    return _checking(lambda said, signature: key.verify(signature, said))


def _checking(verify: Callable[[bytes, bytes], None]) -> Check:
    def check(said: bytes, signature: bytes) -> bool:
        try:
            verify(said, signature)
        except InvalidSignature:
            return False
        return True

    return check


def _number(text: str) -> int:
    return int.from_bytes(_octets(text), "big")
