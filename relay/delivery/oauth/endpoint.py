"""Asking a token endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from relay.delivery.oauth.grants import UNHEARD, Granted, NoToken, form_of, granted_by
from relay.routing.upstreams import Upstream

SECONDS = 20.0  # for one question, however slowly its answer drips


async def post_form(url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
    """Post *form*; status and body of the answer.  Raises NoToken if none comes."""
    import httpx2  # noqa: PLC0415  only where somebody logs in with tokens: it takes time and memory

    try:
        async with asyncio.timeout(SECONDS), httpx2.AsyncClient(timeout=SECONDS) as client:
            answer = await client.post(url, data=dict(form), headers={"Accept": "application/json"})
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as fault:
        why = str(fault) or type(fault).__name__
        raise NoToken(f"the token endpoint {url} cannot be asked: {why}", error=UNHEARD) from None
    return answer.status_code, answer.content


async def fetch_token(upstream: Upstream, *, refresh: str | None, now: datetime) -> Granted:
    """Ask for a token by the upstream's grant.  Raises NoToken, CannotUnseal."""
    oauth = upstream.options.oauth
    if oauth is None:
        raise NoToken(f"{upstream.name} is not logged in to with tokens", is_final=True)
    secret = upstream.password.reveal() if upstream.password else None
    return granted_by(
        *await post_form(oauth.token_url, form_of(oauth, secret=secret, refresh=refresh, now=now))
    )
