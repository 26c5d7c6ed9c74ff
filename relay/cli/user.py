"""relay user …: who may submit, and as whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from relay.cli import credential
from relay.cli.asking import confirm, password_from_stdin
from relay.cli.command import at_the_desk, before
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.cli.shown import Cell, Shown, Table, Tone

if TYPE_CHECKING:
    from relay.accounts.profile import Profile

app = typer.Typer(no_args_is_help=True, help="Who may submit, and as whom.")
app.add_typer(credential.app, name="credential", callback=before)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The login name: a word or an e-mail address.")]
Senders = Annotated[
    list[str] | None,
    typer.Option(
        "--sender",
        metavar="PATTERN",
        help="As whom the user may send: ann@example.com, example.com (anybody there) or *.example.com "
        "(its subdomains). Several: repeat, or separate by commas.",
    ),
]
Level = Annotated[
    int | None, typer.Option(min=1, max=5, help="The priority of its mail: 1, very high, to 5.")
]
Highest = Annotated[
    str | None,
    typer.Option(metavar="1-5", help='The highest priority that its messages may ask for; "none": any.'),
]
Contact = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help='Where notifications to the user go; "none": nowhere.')
]
DefaultSender = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help='What "rewrite" makes of a foreign sender; "none": no such address.'
    ),
]
OnMismatch = Annotated[
    Literal["reject", "hold", "rewrite", "allow"] | None,
    typer.Option(help="What becomes of mail with a sender that is not granted."),
]
Notes = Annotated[str | None, typer.Option(metavar="TEXT", help="Whatever you want to remember of the user.")]
MaxMessage = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help='The largest message, such as 10M; "none": the server\'s limit.'),
]
MaxRecipients = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", help='The most recipients of a message; "none": the server\'s limit.'),
]
OwnUpstream = Annotated[
    str | None, typer.Option(metavar="NAME", help="The upstream that this user's mail goes to.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; else one is made.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("add")
@at_the_desk
def add(
    desk: Desk,
    name: Name,
    *,
    sender: Senders = None,
    priority: Level = None,
    highest_priority: Highest = None,
    contact: Contact = None,
    default_sender: DefaultSender = None,
    mismatch: OnMismatch = None,
    notes: Notes = None,
    max_message: MaxMessage = None,
    max_recipients: MaxRecipients = None,
    upstream: OwnUpstream = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="It cannot log in yet.")] = False,
    password_stdin: PasswordStdin = False,
) -> Shown:
    """Add a user. Its password is made, and shown this once."""
    from relay.accounts.passwords import check_password, generate_password, hash_password
    from relay.accounts.profile import Profile, checked, warnings
    from relay.accounts.scram import sealed_keys
    from relay.cli import people, profiles

    wanted = profiles.Wanted(
        sender,
        priority,
        highest_priority,
        contact,
        default_sender,
        mismatch,
        notes,
        max_message,
        max_recipients,
    )
    profile = checked(replace(wanted.applied_to(Profile()), is_active=not inactive))
    given = check_password(password_from_stdin()) if password_stdin else None
    password = given or generate_password()
    desk.make()
    leading_to = people.upstream_id(desk, upstream)
    hashed, keys = hash_password(password), sealed_keys(name, password, desk.sealer)
    made = desk.write(people.add, people.Newcomer(desk.author, name, profile, hashed, keys, leading_to))
    secret = () if given else (Cell(f"  password  {password}   (shown only this once)", Tone.STRONG),)
    document = people.document(made, upstream)
    if not given:
        document["password"] = password
    return Shown(document, (f'User "{made.name}" was added.', *secret), warnings(made.profile))


@app.command("list")
@at_the_desk
def list_users(desk: Desk) -> Shown:
    """List all users."""
    from relay.cli import people

    found = people.everybody(desk)
    rows = [people.row(one) for one in found]
    table = Table(people.HEADINGS, rows, numbers=frozenset({"sent, 24 h"}))
    return Shown(
        [people.document_of(one) for one in found], (table,) if rows else ("There are no users yet.",)
    )


@app.command("show")
@at_the_desk
def show(desk: Desk, name: Name) -> Shown:
    """Show everything about one user."""
    from relay.accounts.profile import warnings
    from relay.cli import people

    one = people.one(desk, name)
    return Shown(people.document_of(one), (people.card(one),), warnings(one.account.profile))


@app.command("edit")
@at_the_desk
def edit(
    desk: Desk,
    name: Name,
    *,
    sender: Senders = None,
    add_sender: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Grant one more.")] = None,
    remove_sender: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Grant one less.")
    ] = None,
    priority: Level = None,
    highest_priority: Highest = None,
    contact: Contact = None,
    default_sender: DefaultSender = None,
    mismatch: OnMismatch = None,
    notes: Notes = None,
    max_message: MaxMessage = None,
    max_recipients: MaxRecipients = None,
    upstream: OwnUpstream = None,
    no_upstream: Annotated[
        bool, typer.Option("--no-upstream", help="Its mail goes by the default route again.")
    ] = False,
) -> Shown:
    """Change a user; --sender replaces all its patterns."""
    from relay.accounts.profile import warnings
    from relay.cli import people, profiles

    if upstream and no_upstream:
        raise typer.BadParameter("contradicts --upstream.", param_hint="--no-upstream")
    wanted = profiles.Wanted(
        sender, priority, highest_priority, contact, default_sender, mismatch, notes,
        max_message, max_recipients, add_sender, remove_sender,
    )  # fmt: skip
    if wanted == profiles.Wanted() and not upstream and not no_upstream:
        raise Failed("Say what to change; see --help.", USAGE)
    move = people.Move(people.upstream_id(desk, upstream)) if upstream or no_upstream else None
    changed = desk.write(people.change, people.Change(desk.author, name, wanted.applied_to, move))
    one = people.one(desk, changed.name)
    return Shown(
        people.document_of(one),
        (f'User "{changed.name}" was changed.', people.card(one)),
        warnings(changed.profile),
    )


@app.command("enable")
@at_the_desk
def enable(desk: Desk, name: Name) -> Shown:
    """Let a user log in again."""
    return _switch(desk, name, lambda profile: replace(profile, is_active=True), "may log in")


@app.command("disable")
@at_the_desk
def disable(desk: Desk, name: Name) -> Shown:
    """Let a user log in no more; what it sent already is still delivered."""
    return _switch(desk, name, lambda profile: replace(profile, is_active=False), "may not log in any more")


@app.command("password")
@at_the_desk
def password(desk: Desk, name: Name, password_stdin: PasswordStdin = False) -> Shown:
    """Give a user a new password; the old one is good no more."""
    from relay.accounts.credentials import NewPassword, set_password
    from relay.accounts.passwords import check_password, generate_password, hash_password
    from relay.accounts.scram import sealed_keys
    from relay.accounts.users import find

    account = desk.read(find, name)
    given = check_password(password_from_stdin()) if password_stdin else None
    fresh = given or generate_password()
    keys = sealed_keys(account.name, fresh, desk.sealer)
    desk.write(set_password, NewPassword(desk.author, account.name, hash_password(fresh), keys))
    if given:
        return Shown({"name": account.name}, (f'The password of "{account.name}" was changed.',))
    return Shown(
        {"name": account.name, "password": fresh},
        (
            f'The password of "{account.name}" was changed.',
            Cell(f"  password  {fresh}   (shown only this once)", Tone.STRONG),
        ),
    )


@app.command("delete")
@at_the_desk
def delete(desk: Desk, name: Name, yes: Yes = False) -> Shown:
    """Delete a user; what it sent already stays, and is still delivered."""
    from relay.accounts.users import Deletion, find
    from relay.cli import leaving, people

    account = desk.read(find, name)
    left = leaving.left_by(desk, account)
    told = f'The user "{account.name}" will be deleted, with its password and grants.'
    confirm(" ".join((told, *left.sentences)), is_sure=yes)
    desk.write(people.remove, Deletion(desk.author, account.name))
    document = {"deleted": account.name, "deliveries": left.deliveries, "routes": left.routes}
    return Shown(document, (f'User "{account.name}" was deleted.',), tuple(left.sentences) if yes else ())


def _switch(desk: Desk, name: str, change: Callable[[Profile], Profile], what: str) -> Shown:
    from relay.accounts.profile import warnings
    from relay.accounts.users import Edit
    from relay.accounts.users import edit as edit_user

    account = desk.write(edit_user, Edit(desk.author, name, change))
    document = {"name": account.name, "is_active": account.profile.is_active}
    return Shown(document, (f'User "{account.name}" {what}.',), warnings(account.profile))
