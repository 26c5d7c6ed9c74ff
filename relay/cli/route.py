"""relay route …: which mail goes where."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.asking import confirm
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.cli.shown import Shown, Table

app = typer.Typer(
    no_args_is_help=True, help="Which mail goes where: the first route that is for it takes it."
)

NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name, of your choice.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The route's name.")]
To = Annotated[
    list[str] | None,
    typer.Option(
        metavar="UPSTREAM[=WEIGHT],…",
        help="Where it leads. Several after commas share its mail by weight; repeat --to for those that "
        "step in when none of those before takes mail.",
    ),
]
User = Annotated[
    list[str] | None, typer.Option("--user", metavar="NAME", help='Mail of this user; "none": of any.')
]
Sender = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="PATTERN",
        help='Senders: ann@example.com, example.com or *.example.com; "none": any.',
    ),
]
Recipient = Annotated[
    list[str] | None,
    typer.Option("--for", metavar="PATTERN", help='Recipients, by the same patterns; "none": any.'),
]
Tag = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help='The tag that the sender gave it; "none": any.')
]
Level = Annotated[
    list[str] | None,
    typer.Option("--priority", metavar="1-5", help='Of this priority; several: repeat; "none": of any.'),
]
LargerThan = Annotated[
    str | None, typer.Option(metavar="SIZE", help='Of this size, such as 10M, or more; "none": of any.')
]
SmallerThan = Annotated[
    str | None, typer.Option(metavar="SIZE", help='Of this size or less; "none": of any.')
]
Before = Annotated[
    str | None,
    typer.Option(metavar="ROUTE", help="Ask it right before this one; else behind all but the default."),
]


@app.command("add")
@at_the_desk
def add(
    desk: Desk,
    name: NewName,
    *,
    to: To = None,
    user: User = None,
    sender: Sender = None,
    recipient: Recipient = None,
    tag: Tag = None,
    priority: Level = None,
    at_least: LargerThan = None,
    at_most: SmallerThan = None,
    before: Before = None,
) -> Shown:
    """Add a route: mail for which all conditions hold goes where it leads."""
    from relay.cli import routes
    from relay.routing.conditions import ANYTHING
    from relay.routing.route_changes import NewRoute, add_route

    if not to:
        raise Failed("Say where it leads, with --to.", USAGE)
    asked = routes.Asked(user, sender, recipient, tag, priority, at_least, at_most)
    order = NewRoute(desk.author, name, routes.legs(desk, to), asked.applied_to(ANYTHING, desk), before)
    made = desk.write(add_route, order)
    return routes.one(desk, made.name, f'Route "{made.name}" was added.')


@app.command("list")
@at_the_desk
def list_routes(desk: Desk) -> Shown:
    """List all routes in the order in which they are asked."""
    from relay.cli import routes

    found = routes.everything(desk)
    table = Table(routes.HEADINGS, [routes.row(one) for one in found])
    nothing = 'There are no routes yet; the default route comes with the first "relay upstream add".'
    return Shown([routes.document(one) for one in found], (table,) if found else (nothing,))


@app.command("show")
@at_the_desk
def show(desk: Desk, name: Name) -> Shown:
    """Show a route, where it leads, and how that fares."""
    from relay.cli import routes

    return routes.one(desk, name)


@app.command("edit")
@at_the_desk
def edit(
    desk: Desk,
    name: Name,
    *,
    to: To = None,
    user: User = None,
    sender: Sender = None,
    recipient: Recipient = None,
    tag: Tag = None,
    priority: Level = None,
    at_least: LargerThan = None,
    at_most: SmallerThan = None,
    enable: Annotated[
        bool | None,
        typer.Option(
            "--enable/--disable",
            help="Whether it is asked at all; if not, what waits for it goes by the default route.",
        ),
    ] = None,
) -> Shown:
    """Change a route; mail that waits for it goes where it leads then."""
    from relay.cli import routes
    from relay.routing.route_changes import EditRoute, edit_route, find_rule

    asked = routes.Asked(user, sender, recipient, tag, priority, at_least, at_most)
    if asked == routes.Asked() and not to and enable is None:
        raise Failed("Say what to change; see --help.", USAGE)
    rule = desk.read(find_rule, name)
    order = EditRoute(
        desk.author,
        name,
        legs=routes.legs(desk, to) if to else None,
        conditions=None if asked == routes.Asked() else asked.applied_to(rule.conditions, desk),
        is_enabled=enable,
    )
    changed = desk.write(edit_route, order)
    return routes.one(desk, changed.name, f'Route "{changed.name}" was changed.')


@app.command("move")
@at_the_desk
def move(desk: Desk, name: Name, *, before: Before = None) -> Shown:
    """Ask a route right before another one, or behind all others."""
    from relay.cli import routes
    from relay.routing.route_changes import MoveRoute, move_route

    moved = desk.write(move_route, MoveRoute(desk.author, name, before))
    where = f'right before "{before}"' if before else "behind all others but the default route"
    return routes.one(desk, moved.name, f'Route "{moved.name}" is asked {where}.')


@app.command("delete")
@at_the_desk
def delete(
    desk: Desk,
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Shown:
    """Delete a route; the mail that waits for it goes by the default route."""
    from relay.routing.route_changes import RemoveRoute, find_rule, remove_route

    rule = desk.read(find_rule, name)
    confirm(f'The route "{rule.name}" will be deleted.', is_sure=yes)
    desk.write(remove_route, RemoveRoute(desk.author, rule.name))
    return Shown({"deleted": rule.name}, (f'Route "{rule.name}" was deleted.',))
