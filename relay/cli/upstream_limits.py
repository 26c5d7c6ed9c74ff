"""relay upstream limits …: how much an upstream is given, and how much at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Fields, Shown
from relay.cli.upstream_options import Name

_NONE = "none"

PerMinute = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", help="Messages a minute of the clock, of all processes together."),
]
PerHour = Annotated[str | None, typer.Option(metavar="NUMBER", help="Messages an hour, likewise.")]
PerDay = Annotated[str | None, typer.Option(metavar="NUMBER", help="Messages a day, likewise, in UTC.")]
BatchSize = Annotated[
    str | None, typer.Option("--batch", metavar="NUMBER", help="Messages in one batch, with --pause.")
]
Pause = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS", help="The least time from a batch's last message to the next one's first."
    ),
]
PerConnection = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Messages over one connection (1000).")
]
Recipients = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Recipients in one transaction; the others follow.")
]
Largest = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="The largest message, such as 20M; larger ones go to the next upstream of their route, or fail.",
    ),
]
Beyond = Annotated[
    Literal["wait", "overflow"] | None,
    typer.Option(
        "--beyond",
        help="What becomes of mail beyond minute, hour, day or batch: it waits, or goes to the next upstream "
        "of its route.",
    ),
]


@at_the_desk
def limits(
    desk: Desk,
    name: Name,
    *,
    per_minute: PerMinute = None,
    per_hour: PerHour = None,
    per_day: PerDay = None,
    batch: BatchSize = None,
    pause: Pause = None,
    per_connection: PerConnection = None,
    recipients: Recipients = None,
    largest: Largest = None,
    beyond: Beyond = None,
) -> Shown:
    """Show how much an upstream is given at most, or change it; "none" takes a limit away."""
    from relay.cli import upstreams
    from relay.cli.standings import limits_shown
    from relay.routing.changes import EditUpstream, edit_upstream

    written = {
        "per_minute": per_minute,
        "per_hour": per_hour,
        "per_day": per_day,
        "batch": batch,
        "pause": pause,
        "per_connection": per_connection,
        "recipients": recipients,
        "octets": largest,
    }
    changes: dict[str, Any] = {
        each: _number(text, each) for each, text in written.items() if text is not None
    }
    if "pause" in changes:
        changes["pause"] = changes["pause"] or 0
    if beyond is not None:
        changes["overflows"] = beyond == "overflow"
    if changes:
        order = EditUpstream(
            desk.author, name, desk.sealer, lambda u: replace(u, limits=replace(u.limits, **changes))
        )
        desk.write(edit_upstream, order)
    upstream = upstreams.one(desk, name).upstream
    return Shown(
        {"name": upstream.name, "limits": upstream.limits.to_members()},
        (Fields((("name", upstream.name), *(limits_shown(upstream.limits) or (("limits", "none"),)))),),
    )


def _number(text: str, name: str) -> int | None:
    from relay.quantities import read_number

    try:
        return None if text == _NONE else read_number(text)
    except ValueError:
        option = f"--{'largest' if name == 'octets' else name.replace('_', '-')}"
        raise typer.BadParameter(f'"{text}" is neither a number nor "none".', param_hint=option) from None
