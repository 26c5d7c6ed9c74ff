"""relay logins …: who tried to log in, and from where."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Cell, Shown, Table, Tone

if TYPE_CHECKING:
    from relay.accounts.attempts import Attempts

app = typer.Typer(no_args_is_help=True, help="Who tried to log in, and from where.")

_HEADINGS = ("day", "user", "network", "mechanism", "result", "times", "last", "last from")
_TONES = {"success": Tone.GOOD, "failure": Tone.DOUBTFUL, "barred": Tone.BAD}


@app.command("list")
@at_the_desk
def list_logins(
    desk: Desk,
    *,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help='Only this name; "": names that nobody has.')
    ] = None,
    result: Annotated[
        Literal["success", "failure", "barred"] | None,
        typer.Option(
            help="Only those that went well, failed, or were refused unseen after too many failures."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days back.")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The most lines to show.")] = 50,
) -> Shown:
    """List login attempts, counted by day and source, the latest first."""
    from relay.accounts.attempts import Result, list_attempts
    from relay.accounts.profile import folded_name

    found = desk.read(
        list_attempts,
        since=desk.now - timedelta(days=days - 1),
        user=None if user is None else folded_name(user.strip()),
        result=None if result is None else Result(result),
        limit=limit,
    )
    table = Table(_HEADINGS, [_row(each) for each in found], numbers=frozenset({"times"}))
    return Shown([_document(each) for each in found], (table,) if found else ("Nobody tried.",))


@app.command("bars")
@at_the_desk
def list_bars(desk: Desk) -> Shown:
    """List what is barred from logging in at this moment, and until when; each bar ends by itself."""
    from relay.accounts.bars import bars_in_force
    from relay.cli.printing import moment

    found = desk.read(bars_in_force, desk.now)
    table = Table(("barred by", "source", "until"), [(b.kind, b.source, moment(b.until)) for b in found])
    return Shown(found, (table,) if found else ("Nobody is barred.",))


def _row(one: Attempts) -> tuple[str | Cell, ...]:
    from relay.cli.printing import moment

    return (
        one.day.strftime("%Y-%m-%d"),
        one.user_name or Cell("names that nobody has", Tone.QUIET),
        one.network,
        one.mechanism,
        Cell(one.result.value, _TONES[one.result.value]),
        str(one.count),
        moment(one.last_at),
        one.last_from,
    )


def _document(one: Attempts) -> dict[str, Any]:
    return {
        "day": one.day,
        "user": one.user_name,
        "network": one.network,
        "mechanism": one.mechanism,
        "result": one.result,
        "count": one.count,
        "last_at": one.last_at,
        "last_from": one.last_from,
    }
