"""Logging in to an SMTP upstream with a token: XOAUTH2 (Google, Microsoft) and OAUTHBEARER (RFC 7628)."""

from __future__ import annotations

import base64
import json

import aiosmtplib

from relay.delivery.classify import no_token
from relay.delivery.oauth.grants import NoToken
from relay.delivery.oauth.tokens import TokenSource
from relay.routing.upstreams import Upstream

_CHALLENGE = 334
_MECHANISMS = ("xoauth2", "oauthbearer")  # the first that is offered is used


class TokenRefused(aiosmtplib.SMTPAuthenticationError):
    """The upstream does not take the token; `message` has its own words, those of its challenge too."""


class HungUp(aiosmtplib.SMTPServerDisconnected):
    """The upstream refused the token and hung up: there is another one by now, for a new connection."""


async def log_in_with_token(client: aiosmtplib.SMTP, upstream: Upstream, tokens: TokenSource) -> str:
    """Log in; a token that is refused is replaced once, in case it ended early or was taken back.

    Raises Trouble if there is no token, SMTPException if there is no way to log in with one,
    TokenRefused if none is taken, and HungUp if the second could not be shown any more.
    """
    offered = client.server_auth_methods
    way = next((way for way in _MECHANISMS if way in offered), None)
    if way is None:
        known = ", ".join(offered).upper() or "none"
        raise aiosmtplib.SMTPException(f"it offers no way to log in with a token (offered: {known})")
    try:
        token = await tokens.get(upstream)
        try:
            await _present(client, way, upstream, token)
        except TokenRefused:
            token = await tokens.get(upstream, refused=token)
            try:
                await _present(client, way, upstream, token)
            except aiosmtplib.SMTPServerDisconnected as fault:
                raise HungUp(fault.message) from fault
    except NoToken as fault:
        raise no_token(str(fault)) from fault
    return f"logged in as {upstream.username} with a token ({way.upper()})"


async def _present(client: aiosmtplib.SMTP, way: str, upstream: Upstream, token: str) -> None:
    """Show the token.  Raises TokenRefused."""
    words = _WORDS[way](upstream, token).encode()
    answer = await client.execute_command(b"AUTH", way.upper().encode(), base64.b64encode(words))
    why = ""
    if answer.code == _CHALLENGE:
        # The reason, as JSON; it wants an answer before it says no in so many words.
        why = _reason(answer.message)
        answer = await client.execute_command(b"" if way == "xoauth2" else b"AQ==")
    if not 200 <= answer.code < 300:
        raise TokenRefused(answer.code, f"{answer.message} ({why})" if why else answer.message)


def _xoauth2(upstream: Upstream, token: str) -> str:
    return f"user={upstream.username}\x01auth=Bearer {token}\x01\x01"


def _oauthbearer(upstream: Upstream, token: str) -> str:
    # RFC 5801 §4: "=" and "," stand for themselves only when spelled out
    name = (upstream.username or "").replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\x01host={upstream.host}\x01port={upstream.port}\x01auth=Bearer {token}\x01\x01"


_WORDS = {"xoauth2": _xoauth2, "oauthbearer": _oauthbearer}


def _reason(challenge: str) -> str:
    """What the challenge says, in a few words."""
    try:
        said = json.loads(base64.b64decode(challenge))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    return ", ".join(f"{name} {said[name]}" for name in ("status", "error", "scope") if said.get(name))
