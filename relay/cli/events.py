"""relay events …: what was refused, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.printing import moment
from relay.cli.shown import Cell, Shown, Table, Tone

if TYPE_CHECKING:
    from datetime import timedelta

app = typer.Typer(no_args_is_help=True, help="What was refused, and why.")


@app.callback()
def _events() -> None:
    """What was refused, and why."""


@app.command("list")
@at_the_desk
def list_events(
    desk: Desk,
    *,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this user met with.")] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="Only by this rule, or rules that begin so.")
    ] = None,
    peer: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only from this address, or those that begin so.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only of the last 30m, 4h, 7d …")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The most lines to show.")] = 50,
) -> Shown:
    """List refused sessions and messages, the newest first."""
    from relay.accounts.profile import folded_name
    from relay.queue.events import Search, find_events

    begin = None if since is None else desk.now - _duration(since)
    found = desk.read(find_events, Search(user and folded_name(user), rule, peer, begin, limit))
    rows = [
        (
            moment(event.at),
            event.user_name or "",
            event.peer_address or "",
            Cell(event.rule, Tone.STRONG),
            str(event.facts.get("times", 1)),
            str(event.facts.get("sender", "")),
            event.reply,
        )
        for event in found
    ]
    table = Table(
        ("when", "user", "from", "rule", "times", "sender", "reply"), rows, numbers=frozenset({"times"})
    )
    return Shown(found, (table,) if rows else ("Nothing was refused, as far as is remembered.",))


def _duration(text: str) -> timedelta:
    from relay.settings import BadSetting, parse

    try:
        duration: timedelta = parse("notice_interval", text)  # read as any setting that is a duration
    except BadSetting:
        raise typer.BadParameter(
            f'"{text}" is no duration; write 30m, 4h or 7d.', param_hint="--since"
        ) from None
    return duration
