"""relay user rewrite … and relay upstream rewrite …: how mail is changed before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli import upstream, user
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Cell, Fields, Shown, Tone
from relay.cli.upstreams import address

if TYPE_CHECKING:
    from relay.mail.letterhead import Texts
    from relay.mail.rewriting import Rewrite

_NONE = "none"
_FROM = "from"
_SHOWN = 60  # letters of a text

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as they were given; None: not given, and left as it is."""

    from_address: str | None = None
    from_name: str | None = None
    force: bool | None = None
    reply_to: str | None = None
    header: str | None = None
    footer: str | None = None
    header_html: str | None = None
    footer_html: str | None = None

    def applied_to(self, rewrite: Rewrite) -> Rewrite:
        """Return *rewrite* with what is wanted.  Raises BadRewrite, OSError, or typer's BadParameter."""
        from relay.mail.rewriting import checked

        changes: dict[str, Any] = {"texts": self._texts(rewrite.texts)}
        if self.from_address is not None:
            changes["from_address"] = address(self.from_address, "--from")
        if self.from_name is not None:
            changes["from_name"] = "" if self.from_name == _NONE else self.from_name.strip()
        if self.force is not None:
            changes["is_forced"] = self.force
        if self.reply_to is not None:
            is_from = self.reply_to == _FROM
            changes["answers_to_from"] = is_from
            changes["reply_to"] = None if is_from else address(self.reply_to, "--reply-to")
        return checked(replace(rewrite, **changes))

    def _texts(self, texts: Texts) -> Texts:
        given = {
            "header": self.header,
            "footer": self.footer,
            "header_html": self.header_html,
            "footer_html": self.footer_html,
        }
        return replace(texts, **{name: _read(file) for name, file in given.items() if file is not None})


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

    wanted = Wanted(from_address, from_name, force, reply_to, header, footer, header_html, footer_html)
    account = desk.read(find, name)
    if wanted != Wanted():
        change = _changing(wanted)
        account = desk.write(edit, Edit(desk.author, account.name, change))
    return _shown(account.name, account.profile.rewrite)


@at_the_desk
def rewrite_upstream(
    desk: Desk,
    name: upstream.Name,
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


def _read(file: str) -> str:
    if file == _NONE:
        return ""
    try:
        return Path(file).read_text("utf-8").rstrip()
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text.") from None


def _shown(name: str, rewrite: Rewrite) -> Shown:
    from relay.mail.rewriting import to_members

    document = {"name": name, "rewrite": to_members(rewrite)}
    return Shown(document, (Fields((("name", Cell(name, Tone.STRONG)), *rows(rewrite))),))


def rows(rewrite: Rewrite) -> tuple[tuple[str, str | Cell | None], ...]:
    """What is changed, each thing in a line."""
    if not rewrite:
        return (("changed", Cell("nothing", Tone.QUIET)),)
    when = "always" if rewrite.is_forced else "where From is at another domain"
    name_when = "always" if rewrite.is_forced else "where From has no name"
    texts = rewrite.texts
    return (
        ("from", f"{rewrite.from_address} ({when})" if rewrite.from_address else None),
        ("name", f"{rewrite.from_name} ({name_when})" if rewrite.from_name else None),
        ("answers to", "From alone" if rewrite.answers_to_from else str(rewrite.reply_to or "") or None),
        ("above", _few(texts.header)),
        ("above, HTML", _few(texts.header_html)),
        ("below", _few(texts.footer)),
        ("below, HTML", _few(texts.footer_html)),
    )


def _few(text: str) -> str | None:
    line = " ".join(text.split())
    return line[: _SHOWN - 1] + "…" if len(line) > _SHOWN else line or None
