"""relay queue …: mail that is still to be delivered."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from relay.cli.choosing import Chosen, Order, narrowing, ordering
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
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
    from relay.cli import mail, selecting, stopping
    from relay.queue.stops import load_stops

    stops = desk.read(load_stops).all
    told = tuple(map(stopping.line, stops))
    lines, is_cut = mail.lines(desk, selecting.selections(desk, chosen), limit)
    whys = mail.whys(desk, lines)
    rows = [mail.row(line, whys.get(line.key), desk.now) for line in lines]
    table = Table(mail.HEADINGS, rows, numbers=frozenset({"to", "tries"}))
    more = (f"Only the first {limit} are shown; more with --limit.",) if is_cut else ()
    nothing = "Nothing in the queue fits." if chosen.named else "Nothing is in the queue."
    document = {
        "stops": [stopping.document(each) for each in stops],
        "deliveries": [mail.document(line, whys.get(line.key)) for line in lines],
        "has_more": is_cut,
    }
    return Shown(document, (*told, table, *more) if lines else (*told, nothing))


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

    from relay.cli import stopping, stories
    from relay.queue import browse
    from relay.queue.stops import load_stops

    if message is not None:
        return stories.tell(desk, message)
    standing, stops = desk.read(browse.counts), desk.read(load_stops).all
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
        "stops": [stopping.document(each) for each in stops],
    }
    return Shown(document, (*map(stopping.line, stops), fields))


@app.command("stop")
@at_the_desk
def stop(
    desk: Desk,
    *,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this user sent.")] = None,
    upstream: Annotated[str | None, typer.Option(metavar="NAME", help="Only what goes there.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever looks at it.")] = "",
) -> Shown:
    """Send nothing more until started again: all of it, or one upstream's, or one user's mail."""
    from relay.cli import stopping

    return stopping.stop(desk, user=user, upstream=upstream, reason=reason)


@app.command("start")
@at_the_desk
def start(
    desk: Desk,
    *,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="What this user sent.")] = None,
    upstream: Annotated[str | None, typer.Option(metavar="NAME", help="What goes there.")] = None,
) -> Shown:
    """End a stop; those of single upstreams and users end only by name."""
    from relay.cli import stopping

    return stopping.start(desk, user=user, upstream=upstream)


@app.command("retry")
@at_the_desk
@ordering
def retry(desk: Desk) -> Order:
    """Try now what waits for its next attempt; a warning tells of what may then arrive twice.

    Mail that its sender scheduled for later is sent now only if it is named by its id.
    """
    from relay.queue.control import RetryNow, retry_now
    from relay.settings import load

    in_force = desk.read(load)
    return Order(
        "queue.retry",
        retry_now,
        lambda these: RetryNow(these, desk.now, in_force),
        done="will be tried now",
        wanted="waits for a retry",
        sends_again=True,
        takes_due=False,
    )


@app.command("hold")
@at_the_desk
@ordering
def hold(
    _desk: Desk,
    *,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for whoever looks at it.")
    ] = "by the operator",
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
        takes_due=False,
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


@app.command("fail")
@at_the_desk
@ordering
def fail(
    desk: Desk,
    *,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why: this is what the senders read.")
    ] = "Given up by the operator of the relay",
) -> Order:
    """Give up mail for good, and send its senders the report that says why, unless they want none."""
    from random import Random

    from relay.delivery import failing
    from relay.delivery.rules import Rules
    from relay.ids import id_source
    from relay.routing import routes
    from relay.settings import load

    rules = Rules(
        desk.read(load),
        desk.read(routes.load, desk.sealer),
        desk.config.hostname,
        id_source(),
        Random(),  # noqa: S311  spreads retries; nobody gains by guessing it
    )
    return Order(
        "queue.fail",
        failing.fail_now,
        # What comes later is not meant, and least of all the reports that this makes.
        lambda these: failing.FailNow(
            replace(these, accepted_before=these.accepted_before or desk.now), desk.now, reason, rules
        ),
        done=lambda sums: f"failed; {_reports(sums['reports'])}",
        wanted="can be given up",
        warning="This mail will never be delivered, and its senders get a report unless they want none.",
        detail={"reason": reason},
        at_most=failing.AT_MOST,
        counted=failing.GivenUp._asdict,
    )


def _reports(number: int) -> str:
    if not number:
        return "no sender gets a report, for none wants one or can be told"
    return "1 report goes to a sender" if number == 1 else f"{number} reports go to senders"


@app.command("reroute")
@at_the_desk
@ordering
def reroute(
    desk: Desk,
    *,
    to_route: Annotated[
        str | None, typer.Option("--to-route", metavar="NAME", help="The route to take from now on.")
    ] = None,
    to_upstream: Annotated[
        str | None, typer.Option("--to-upstream", metavar="NAME", help="Any route that leads there first.")
    ] = None,
) -> Order:
    """Send mail by another route; what waits for its next attempt goes on waiting (see retry)."""
    from relay.cli import selecting
    from relay.queue import control
    from relay.routing.route_changes import Rule
    from relay.routing.routes import Route, load
    from relay.routing.upstreams import find_upstream

    route: Rule | Route
    if to_route is not None and to_upstream is None:
        route = selecting.route_named(desk, to_route)
    elif to_upstream is not None and to_route is None:
        table = desk.read(load, desk.sealer)
        route = selecting.route_to(table, desk.read(find_upstream, to_upstream, desk.sealer))
    else:
        raise Failed("Say where to: either --to-route or --to-upstream.", USAGE)
    return Order(
        "queue.reroute",
        control.reroute,
        lambda these: control.Reroute(these, route.id),
        done=f'will take the route "{route.name}"',
        wanted=f'can be sent by the route "{route.name}", or it takes it already',
        detail={"to": route.name},
    )


@app.command("prioritise")
@at_the_desk
@ordering
def prioritise(
    desk: Desk,
    *,
    to: Annotated[int, typer.Option("--to", min=1, max=5, help="The new priority; 1 goes before all else.")],
) -> Order:
    """Give mail another priority, and the place in the queue that goes with it."""
    from relay.mail.priority import Priority
    from relay.queue import control
    from relay.settings import load

    in_force = desk.read(load)
    return Order(
        "queue.prioritise",
        control.prioritise,
        lambda these: control.Prioritise(these, Priority(to), in_force),
        done=f"now of priority {to}",
        wanted=f"can be of priority {to}, or it is already",
        detail={"to": to},
    )
