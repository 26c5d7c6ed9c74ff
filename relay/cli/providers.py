"""relay upstream presets and authorize: what providers want, and consent to log in there with tokens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.asking import secret_from_stdin
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.cli.shown import Cell, Shown, Table, Tone

if TYPE_CHECKING:
    from datetime import datetime

    from relay.delivery.oauth.grants import Granted
    from relay.routing.options import OAuth
    from relay.routing.upstreams import Upstream


@at_the_desk
def presets(
    desk: Desk,  # noqa: ARG001  it is about no relay in particular
    name: Annotated[str | None, typer.Argument(metavar="[PROVIDER]", help="Only this one.")] = None,
) -> Shown:
    """List the providers that are known, with what to do there first."""
    from relay.cli.services import one_preset
    from relay.routing.presets import PRESETS

    wanted = one_preset(name)
    found = [preset for preset in PRESETS.values() if wanted in {None, preset.name}]
    document = [
        {
            "name": preset.name,
            "title": preset.title,
            "kind": preset.kind,
            "where": preset.url or preset.host,
            "port": preset.port if preset.host else None,
            "instructions": preset.instructions,
        }
        for preset in found
    ]
    if wanted is not None:
        return Shown(document[0], (f"{found[0].title}\n\n{found[0].instructions}".rstrip(),))
    rows = [
        (
            Cell(preset.name, Tone.STRONG),
            preset.title,
            preset.url or (f"{preset.host}:{preset.port}" if preset.host else ""),
            "tokens" if preset.oauth else "",
        )
        for preset in found
    ]
    more = '"relay upstream presets PROVIDER" says what to do there first.'
    return Shown(document, (Table(("preset", "provider", "where", "also with"), rows), more))


@at_the_desk
def authorize(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The upstream.")],
    *,
    browser: Annotated[
        bool, typer.Option("--browser", help="By a page in a browser, also where a code could be typed in.")
    ] = False,
    refresh_token_stdin: Annotated[
        bool,
        typer.Option(
            "--refresh-token-stdin",
            help="Read a refresh token that there is already from standard input; at a terminal, ask.",
        ),
    ] = False,
) -> Shown:
    """Give consent that the relay logs in to an upstream with tokens, once and for all."""
    from relay.delivery.oauth.grants import NoToken
    from relay.routing.options import Grant
    from relay.routing.tokens import Consent, Fetched, give_consent
    from relay.routing.upstreams import find_upstream

    upstream = desk.read(find_upstream, name, desk.sealer)
    oauth = upstream.options.oauth
    if oauth is None or oauth.grant is not Grant.REFRESH_TOKEN:
        raise Failed(f'"{name}" needs nobody\'s consent: it is not set up with --oauth refresh-token.', USAGE)
    if browser and refresh_token_stdin:
        raise Failed("Give consent in one way: either --browser or --refresh-token-stdin.", USAGE)
    by_code = bool(oauth.device_url) and not browser
    if not refresh_token_stdin and not by_code and not oauth.authorize_url:
        raise Failed(_unknown_where(upstream, oauth), USAGE)
    secret = upstream.password.reveal() if upstream.password else None
    try:
        if refresh_token_stdin:
            granted = asyncio.run(_by_token(upstream, secret_from_stdin("refresh token"), desk.now))
        else:
            granted = asyncio.run((_by_code if by_code else _by_browser)(oauth, secret, upstream.username))
    except NoToken as fault:
        raise Failed(f"There is no consent: {fault}.") from None
    if granted.refresh is None:
        raise Failed(
            "The provider gave a token, but no right to the next: is the scope offline_access missing?"
        )
    fetched = Fetched(
        upstream.id,
        access_sealed=desk.sealer.seal(granted.access),
        expires_at=desk.now + granted.lasts,
        at=desk.now,
        refresh_sealed=desk.sealer.seal(granted.refresh),
    )
    desk.write(give_consent, Consent(desk.author, upstream.name, fetched))
    told = f'The relay may log in to "{name}" now; "relay upstream test {name}" tries it.'
    return Shown({"authorized": name, "expires_at": fetched.expires_at}, (told,))


def _unknown_where(upstream: Upstream, oauth: OAuth) -> str:
    from relay.cli.services import how_to_consent

    if oauth.device_url:
        return (
            "No page for a browser is known, only a code to type in: leave --browser out, or name the page "
            f'with "relay upstream edit {upstream.name} --authorize-url URL".'
        )
    return f"It is not known where consent is given. {how_to_consent(upstream)}"


async def _by_token(upstream: Upstream, refresh: str, now: datetime) -> Granted:
    """Try the right that somebody has already; many providers give a new one for it each time."""
    from relay.delivery.oauth.endpoint import fetch_token

    granted = await fetch_token(upstream, refresh=refresh, now=now)
    return replace(granted, refresh=granted.refresh or refresh)


async def _by_code(oauth: OAuth, secret: str | None, account: str | None) -> Granted:  # noqa: ARG001  any may give it
    from relay.clock import SystemClock
    from relay.delivery.oauth.consent import await_device, begin_device

    code = await begin_device(oauth)
    typer.echo(f"Open {code.page} in any browser and type in: {code.user_code}", err=True)
    return await await_device(oauth, code, secret=secret, clock=SystemClock())


async def _by_browser(oauth: OAuth, secret: str | None, account: str | None) -> Granted:
    from relay.delivery.oauth.consent import invitation, redeem

    invited = invitation(oauth, account=account)
    typer.echo(
        f"Open this page in a browser and agree:\n\n{invited.url}\n\n"
        "The browser then shows a page that cannot be reached: that is as it should be.",
        err=True,
    )
    pasted = await asyncio.to_thread(typer.prompt, "The whole address of that page", err=True)
    return await redeem(oauth, invited, pasted, secret=secret)
