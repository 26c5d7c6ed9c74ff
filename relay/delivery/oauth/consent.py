"""How somebody gives an upstream the right to tokens: a code typed in elsewhere, or a page in a browser.

The first is the device flow (RFC 8628).  The second asks the browser back to an address where nobody
listens; whoever gave consent copies the address that the browser then shows (RFC 6749 §4.1, with the
proof of RFC 7636).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

from relay.clock import Clock
from relay.delivery.oauth.endpoint import post_form
from relay.delivery.oauth.grants import UNHEARD, Granted, NoToken, granted_by
from relay.routing.options import OAuth

REDIRECT = "http://localhost"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER = timedelta(seconds=5)  # RFC 8628 §3.5: where that is asked, or nothing is heard


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the device flow began with: where to go, and what to type in there."""

    page: str
    user_code: str
    secret: str = field(repr=False)
    interval: timedelta = timedelta(seconds=5)
    lasts: timedelta = timedelta(minutes=15)


async def begin_device(oauth: OAuth) -> DeviceCode:
    """Ask for a code to type in.  Raises NoToken."""
    status, body = await post_form(oauth.device_url, {"client_id": oauth.client_id, "scope": oauth.scope})
    try:
        said = json.loads(body)
        return DeviceCode(
            page=str(said.get("verification_uri") or said["verification_url"]),
            user_code=str(said["user_code"]),
            secret=str(said["device_code"]),
            interval=timedelta(seconds=int(said.get("interval", 5))),
            lasts=timedelta(seconds=int(said["expires_in"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NoToken(f"the provider gave no code to type in (it answered {status})") from None


async def await_device(oauth: OAuth, code: DeviceCode, *, secret: str | None, clock: Clock) -> Granted:
    """Wait until consent was given with *code*.  Raises NoToken if it was not, or not in time."""
    form = {"grant_type": _DEVICE_GRANT, "device_code": code.secret, **_client(oauth, secret)}
    interval, until = code.interval, clock.now() + code.lasts
    while clock.now() < until:
        await clock.sleep(interval)
        try:
            return granted_by(*await post_form(oauth.token_url, form))
        except NoToken as fault:
            if fault.error in {"slow_down", UNHEARD}:
                interval += _SLOWER
            elif fault.error != "authorization_pending":
                raise
    raise NoToken("nobody gave consent in time")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A page where consent is given, and what shows that the answer belongs to it."""

    url: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def invitation(oauth: OAuth, *, account: str | None) -> Invitation:
    """Write the address of the page where consent is given."""
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": oauth.client_id,
        "redirect_uri": REDIRECT,
        "scope": oauth.scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "access_type": "offline",  # Google's word for: also when nobody is there
        "prompt": "consent",
        **({"login_hint": account} if account else {}),
    }
    return Invitation(f"{oauth.authorize_url}?{urlencode(asked)}", state, verifier)


async def redeem(oauth: OAuth, invited: Invitation, pasted: str, *, secret: str | None) -> Granted:
    """Make tokens of what the browser showed: the whole address, or the code in it.  Raises NoToken."""
    form = {
        "grant_type": "authorization_code",
        "code": _code_in(pasted.strip(), invited.state),
        "redirect_uri": REDIRECT,
        "code_verifier": invited.verifier,
        **_client(oauth, secret),
    }
    return granted_by(*await post_form(oauth.token_url, form))


def _code_in(pasted: str, state: str) -> str:
    if "://" not in pasted:
        return pasted
    said = {name: values[0] for name, values in parse_qs(urlsplit(pasted).query).items()}
    if "error" in said:
        raise NoToken(f"consent was not given: {said.get('error_description', said['error'])}")
    if said.get("state") != state or "code" not in said:
        raise NoToken("that address belongs to another attempt: begin anew")
    return said["code"]


def _client(oauth: OAuth, secret: str | None) -> Mapping[str, str]:
    return {"client_id": oauth.client_id, **({"client_secret": secret} if secret else {})}
