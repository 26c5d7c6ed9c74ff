"""What a token endpoint is asked, and what its answer means; no I/O (RFC 6749, RFC 7523)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.mail.reply import Reply
from relay.routing.options import Grant, OAuth

_ASSERTION_LASTS = timedelta(hours=1)  # the most that Google takes
_LASTS_IF_UNTOLD = timedelta(hours=1)
_MOST_SECONDS = 365 * 86_400  # that a token is believed to last
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# RFC 6749 §5.2: asking again brings nothing, somebody must do something.
_FINAL = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope"})
UNHEARD = "unheard"  # our own word where no answer came


class NoToken(Exception):
    """There is no token to log in with; the message says why.  `is_final`: until somebody does something."""

    def __init__(self, why: str, *, is_final: bool = False, error: str = "") -> None:
        super().__init__(why)
        self.is_final = is_final
        self.error = error


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint gave; `refresh` None: the right to the next one stays as it was."""

    access: str
    lasts: timedelta
    refresh: str | None = None


def form_of(oauth: OAuth, *, secret: str | None, refresh: str | None, now: datetime) -> Mapping[str, str]:
    """Write the request for a token.

    *secret* is the client's secret, or the private key of a service account (PEM).  Raises NoToken
    if consent was never given, or the key is none.
    """
    if oauth.grant is Grant.SERVICE_ACCOUNT:
        return {"grant_type": _JWT_BEARER, "assertion": assertion_of(oauth, secret or "", now)}
    form = {"client_id": oauth.client_id}
    if secret:
        form["client_secret"] = secret
    if oauth.scope:
        form["scope"] = oauth.scope
    if oauth.grant is Grant.CLIENT_CREDENTIALS:
        return {"grant_type": "client_credentials", **form}
    if refresh is None:
        raise NoToken('nobody has given consent yet: run "relay upstream authorize"', is_final=True)
    return {"grant_type": "refresh_token", "refresh_token": refresh, **form}


def assertion_of(oauth: OAuth, private_key: str, now: datetime) -> str:
    """A service account's word for itself: a JWT signed with RS256 (RFC 7523 §3).  Raises NoToken."""
    claims: dict[str, Any] = {
        "iss": oauth.client_id,
        "scope": oauth.scope,
        "aud": oauth.token_url,
        "iat": int(now.timestamp()),
        "exp": int((now + _ASSERTION_LASTS).timestamp()),
    }
    if oauth.subject:
        claims["sub"] = oauth.subject
    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        raise NoToken("the service account's private key is none in PEM form", is_final=True) from None
    if not isinstance(key, RSAPrivateKey):
        raise NoToken("the service account's private key is not of the kind RSA", is_final=True)
    signed = b".".join(
        _base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)
    )
    return (signed + b"." + _base64url(key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))).decode()


def granted_by(status: int, body: bytes) -> Granted:
    """Read the endpoint's answer.  Raises NoToken with its own words."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise NoToken(f"the token endpoint answered {status}, with no JSON")
    access = said.get("access_token")
    if status == 200 and isinstance(access, str) and access:
        return Granted(access, _lifetime(said.get("expires_in")), said.get("refresh_token") or None)
    error = str(said.get("error") or status)
    words = str(said.get("error_description") or "").strip()
    # Read as any other server's words: not everything that JSON can spell can be shown, or kept.
    told = Reply.parse(status, [f"{error}{f' ({words})' if words else ''}"]).text
    raise NoToken(
        f"the token endpoint said {told}",
        is_final=error in _FINAL,
        error=error,
    )


def _lifetime(expires_in: object) -> timedelta:
    try:
        return timedelta(seconds=min(max(int(str(expires_in)), 0), _MOST_SECONDS))
    except ValueError:
        return _LASTS_IF_UNTOLD


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
