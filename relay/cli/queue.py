"""relay queue …: mail that is still to be delivered."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from relay.cli.asking import confirm
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import FAILED
from relay.cli.shown import Cell, Fields, Shown, Table, Tone

app = typer.Typer(no_args_is_help=True, help="Mail that is still to be delivered.")

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]…", help="Messages, or deliveries of them (ID-1), by their id."),
]
All = Annotated[bool, typer.Option("--all", help="Everything that this can be done to.")]
OfUser = Annotated[str | None, typer.Option("--user", metavar="NAME", help="Only what this user sent.")]
ToUpstream = Annotated[
    str | None, typer.Option("--upstream", metavar="NAME", help="Only what goes to this upstream.")
]
InState = Annotated[
    Literal["queued", "waiting", "leased", "held"] | None,
    typer.Option("--state", help="Only what is due, waits, is being delivered, or is held."),
]
Level = Annotated[int | None, typer.Option("--priority", min=1, max=5, help="Only mail of this priority.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
@at_the_desk
def list_queue(
    desk: Desk,
    *,
    user: OfUser = None,
    upstream: ToUpstream = None,
    state: InState = None,
    priority: Level = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The most lines to show.")] = 50,
) -> Shown:
    """List what is in the queue, what expires first first."""
    from relay.cli import mail, selecting

    chosen = selecting.Chosen(user=user, upstream=upstream, state=state, priority=priority)
    lines, is_cut = mail.lines(desk, chosen.selections(desk), limit)
    table = Table(
        mail.HEADINGS, [mail.row(line, desk.now) for line in lines], numbers=frozenset({"to", "tries"})
    )
    more = (f"Only the first {limit} are shown; more with --limit.",) if is_cut else ()
    nothing = "Nothing is in the queue." if chosen == selecting.Chosen() else "Nothing in the queue fits."
    return Shown([mail.document(line) for line in lines], (table, *more) if lines else (nothing,))


@app.command("show")
@at_the_desk
def show(
    desk: Desk,
    message: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The message to tell the story of; none: figures.")
    ] = None,
) -> Shown:
    """Show how much is in the queue; with an id, the whole story of that message."""
    from datetime import timedelta

    from relay.cli import stories
    from relay.queue import browse

    if message is not None:
        return stories.tell(desk, message)
    standing = desk.read(browse.counts)
    accepted = desk.read(browse.accepted_since, desk.now - timedelta(days=1))
    fields = Fields(
        (
            ("due now", str(standing.queued)),
            ("waiting", str(standing.waiting)),
            ("being delivered", str(standing.leased)),
            ("held", Cell(str(standing.held), Tone.DOUBTFUL if standing.held else Tone.PLAIN)),
            ("accepted, 24 h", f"{accepted} messages"),
        )
    )
    document = {
        "queued": standing.queued,
        "waiting": standing.waiting,
        "leased": standing.leased,
        "held": standing.held,
        "accepted_last_24_hours": accepted,
    }
    return Shown(document, (fields,))


@app.command("retry")
@at_the_desk
def retry(
    desk: Desk,
    ids: Ids = None,
    *,
    everything: All = False,
    user: OfUser = None,
    upstream: ToUpstream = None,
    priority: Level = None,
) -> Shown:
    """Try now what waits for its next attempt."""
    from relay.cli import selecting
    from relay.queue.control import RetryNow, retry_now
    from relay.settings import load

    chosen = selecting.Chosen(tuple(ids or ()), everything, user, upstream, None, priority)
    in_force = desk.read(load)
    moved = selecting.carry_out(
        desk, "queue.retry", chosen, retry_now, lambda these: RetryNow(these, desk.now, in_force)
    )
    return _moved(moved, "will be tried now", "waits for a retry")


@app.command("hold")
@at_the_desk
def hold(
    desk: Desk,
    ids: Ids = None,
    *,
    everything: All = False,
    user: OfUser = None,
    upstream: ToUpstream = None,
    state: InState = None,
    priority: Level = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for whoever looks at it.")
    ] = "held by the operator",
) -> Shown:
    """Stop mail until it is released; what is being delivered at the moment is not stopped."""
    from relay.cli import selecting
    from relay.queue.control import Hold
    from relay.queue.control import hold as hold_these

    chosen = selecting.Chosen(tuple(ids or ()), everything, user, upstream, state, priority)
    moved = selecting.carry_out(desk, "queue.hold", chosen, hold_these, lambda these: Hold(these, reason))
    return _moved(moved, "will wait until released", "can be held")


@app.command("release")
@at_the_desk
def release(
    desk: Desk,
    ids: Ids = None,
    *,
    everything: All = False,
    user: OfUser = None,
    upstream: ToUpstream = None,
    priority: Level = None,
) -> Shown:
    """Let go what was held."""
    from relay.cli import selecting
    from relay.queue.control import ReleaseHeld, release_held

    chosen = selecting.Chosen(tuple(ids or ()), everything, user, upstream, None, priority)
    moved = selecting.carry_out(
        desk, "queue.release", chosen, release_held, lambda these: ReleaseHeld(these, desk.now)
    )
    return _moved(moved, "released", "is held")


@app.command("cancel")
@at_the_desk
def cancel(
    desk: Desk,
    ids: Ids = None,
    *,
    everything: All = False,
    user: OfUser = None,
    upstream: ToUpstream = None,
    state: InState = None,
    priority: Level = None,
    yes: Yes = False,
) -> Shown:
    """Give up mail for good; its sender is not told."""
    from relay.cli import selecting
    from relay.queue.control import Cancel
    from relay.queue.control import cancel as cancel_these

    chosen = selecting.Chosen(tuple(ids or ()), everything, user, upstream, state, priority)
    chosen.check()
    confirm("This mail will never be delivered, and its senders will not be told.", is_sure=yes)
    reason = f"cancelled by {desk.author.actor}"
    moved = selecting.carry_out(
        desk, "queue.cancel", chosen, cancel_these, lambda these: Cancel(these, desk.now, reason)
    )
    return _moved(moved, "cancelled", "can be cancelled")


def _moved(moved: int, done: str, wanted: str) -> Shown:
    if not moved:
        told = f'Nothing of that {wanted}; see "relay queue list".'
        return Shown({"deliveries": 0}, (told,), exit_code=FAILED)
    plural = "delivery" if moved == 1 else "deliveries"
    return Shown({"deliveries": moved}, (f"{moved} {plural} {done}.",))
