"""relay queue …: mail that is still to be delivered."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.choosing import Chosen, Order, narrowing, ordering
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Cell, Fields, Shown, Table, Tone

app = typer.Typer(no_args_is_help=True, help="Mail that is still to be delivered.")


@app.command("list")
@at_the_desk
@narrowing
def list_queue(
    desk: Desk,
    *,
    chosen: Chosen,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The most lines to show.")] = 50,
) -> Shown:
    """List what is in the queue, what expires first first."""
    from relay.cli import mail, selecting

    lines, is_cut = mail.lines(desk, selecting.selections(desk, chosen), limit)
    table = Table(
        mail.HEADINGS, [mail.row(line, desk.now) for line in lines], numbers=frozenset({"to", "tries"})
    )
    more = (f"Only the first {limit} are shown; more with --limit.",) if is_cut else ()
    nothing = "Nothing in the queue fits." if chosen.named else "Nothing is in the queue."
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
@ordering
def retry(desk: Desk) -> Order:
    """Try now what waits for its next attempt."""
    from relay.queue.control import RetryNow, retry_now
    from relay.settings import load

    in_force = desk.read(load)
    return Order(
        "queue.retry",
        retry_now,
        lambda these: RetryNow(these, desk.now, in_force),
        done="will be tried now",
        wanted="waits for a retry",
    )


@app.command("hold")
@at_the_desk
@ordering
def hold(
    _desk: Desk,
    *,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for whoever looks at it.")
    ] = "held by the operator",
) -> Order:
    """Stop mail until it is released; what is being delivered at the moment is not stopped."""
    from relay.queue import control

    return Order(
        "queue.hold",
        control.hold,
        lambda these: control.Hold(these, reason),
        done="will wait until released",
        wanted="can be held",
    )


@app.command("release")
@at_the_desk
@ordering
def release(desk: Desk) -> Order:
    """Let go what was held."""
    from relay.queue.control import ReleaseHeld, release_held

    return Order(
        "queue.release",
        release_held,
        lambda these: ReleaseHeld(these, desk.now),
        done="released",
        wanted="is held",
    )


@app.command("cancel")
@at_the_desk
@ordering
def cancel(desk: Desk) -> Order:
    """Give up mail for good; its sender is not told."""
    from relay.queue import control

    reason = f"cancelled by {desk.author.actor}"
    return Order(
        "queue.cancel",
        control.cancel,
        lambda these: control.Cancel(these, desk.now, reason),
        done="cancelled",
        wanted="can be cancelled",
        warning="This mail will never be delivered, and its senders will not be told.",
    )
