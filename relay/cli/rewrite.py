"""relay user rewrite … and relay upstream rewrite …: how mail is changed before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli import upstream_options, user
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Cell, Fields, Shown, Tone

if TYPE_CHECKING:
    from relay.cli.rewrites import Wanted
    from relay.mail.rewriting import Rewrite

FromAddress = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="ADDRESS",
        help='Sender of mail whose From is at another domain; with --force of all mail. "none": not set.',
    ),
]
FromName = Annotated[
    str | None,
    typer.Option(
        "--from-name",
        metavar="NAME",
        help='Name for a From without one; with --force for every From. "none".',
    ),
]
Force = Annotated[
    bool | None,
    typer.Option("--force/--no-force", help="Whether they take the place of whatever sender there is."),
]
ReplyTo = Annotated[
    str | None,
    typer.Option(
        "--reply-to",
        metavar="ADDRESS",
        help='Where answers go, whatever the message says; "from": to its From alone; "none": as it says.',
    ),
]
Header = Annotated[str | None, typer.Option("--header", metavar="FILE", help="Text above; UTF-8, or none.")]
Footer = Annotated[str | None, typer.Option("--footer", metavar="FILE", help="Text below; UTF-8, or none.")]
HeaderHtml = Annotated[
    str | None,
    typer.Option("--header-html", metavar="FILE", help="The same for HTML; else made of --header."),
]
FooterHtml = Annotated[
    str | None,
    typer.Option("--footer-html", metavar="FILE", help="The same for HTML; else made of --footer."),
]


@at_the_desk
def rewrite_user(
    desk: Desk,
    name: user.Name,
    *,
    from_address: FromAddress = None,
    from_name: FromName = None,
    force: Force = None,
    reply_to: ReplyTo = None,
    header: Header = None,
    footer: Footer = None,
    header_html: HeaderHtml = None,
    footer_html: FooterHtml = None,
) -> Shown:
    """Show or change how a user's mail is changed before it is sent; the upstream's rule comes after it."""
    from relay.accounts.users import Edit, edit, find
    from relay.cli.rewrites import Wanted

    wanted = Wanted(from_address, from_name, force, reply_to, header, footer, header_html, footer_html)
    account = desk.read(find, name)
    if wanted != Wanted():
        change = _changing(wanted)
        account = desk.write(edit, Edit(desk.author, account.name, change))
    return _shown(account.name, account.profile.rewrite)


@at_the_desk
def rewrite_upstream(
    desk: Desk,
    name: upstream_options.Name,
    *,
    from_address: FromAddress = None,
    from_name: FromName = None,
    force: Force = None,
    reply_to: ReplyTo = None,
    header: Header = None,
    footer: Footer = None,
    header_html: HeaderHtml = None,
    footer_html: FooterHtml = None,
) -> Shown:
    """Show or change how mail is changed before it goes to an upstream, after its user's own rule."""
    from relay.cli.rewrites import Wanted
    from relay.routing.changes import EditUpstream, edit_upstream
    from relay.routing.upstreams import find_upstream

    wanted = Wanted(from_address, from_name, force, reply_to, header, footer, header_html, footer_html)
    found = desk.read(find_upstream, name, desk.sealer)
    if wanted != Wanted():
        found = desk.write(
            edit_upstream, EditUpstream(desk.author, found.name, desk.sealer, _changing(wanted))
        )
    return _shown(found.name, found.rewrite)


def _changing(wanted: Wanted) -> Callable[[Any], Any]:
    return lambda whole: replace(whole, rewrite=wanted.applied_to(whole.rewrite))


def _shown(name: str, rewrite: Rewrite) -> Shown:
    from relay.cli.rewrites import rows
    from relay.mail.rewriting import to_members

    document = {"name": name, "rewrite": to_members(rewrite)}
    nothing = ("", Cell("mail is sent as it is", Tone.QUIET))
    return Shown(
        document, (Fields((("name", Cell(name, Tone.STRONG)), *(rows(rewrite) if rewrite else (nothing,)))),)
    )
