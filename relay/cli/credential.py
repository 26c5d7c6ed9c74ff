"""relay user credential …: one password for each program or device of a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.asking import confirm, password_from_stdin
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.cli.shown import Cell, Part, Shown, Table, Tone

if TYPE_CHECKING:
    from relay.accounts.keyring import Credential, Terms

app = typer.Typer(no_args_is_help=True, help="One password for each program or device of a user.")

User = Annotated[str, typer.Argument(metavar="USER", help="The user's login name.")]
Name = Annotated[str, typer.Argument(metavar="CREDENTIAL", help='Its name, such as "printer".')]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        metavar="NETWORK",
        help='From where it is good, such as 10.1.2.0/24; "any": from anywhere. Several: repeat.',
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help='Until when it is good: 90d, 2027-01-31 (that day included), "never".'),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; else one is made.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_OVER = 'It lets nobody in: its time is over. Give it another with "edit" and "--expires".'
_HEADINGS = ("name", "good from", "expires", "last used", "from", "by")


@app.command("add")
@at_the_desk
def add(
    desk: Desk,
    user: User,
    name: Name,
    *,
    network: From = None,
    expires: Expires = None,
    password_stdin: PasswordStdin = False,
) -> Shown:
    """Give a user a further credential. The user's login name stays the same, the password is its own."""
    from relay.accounts.keyring import NewCredential, Terms, add_credential
    from relay.accounts.users import find

    account = desk.read(find, user)
    terms = _changed(desk, Terms(), network, expires)
    password, hashed, keys = _password(desk, account.name, is_given=password_stdin)
    made = desk.write(add_credential, NewCredential(desk.author, account.name, name, hashed, keys, terms))
    sentence = f'"{account.name}" has the credential "{made.name}".'
    return _told(desk, made, sentence, password, is_given=password_stdin)


@app.command("list")
@at_the_desk
def list_credentials(desk: Desk, user: User) -> Shown:
    """List the credentials of a user: from where they are good, until when, and when they were last used."""
    from relay.accounts import keyring

    found = desk.read(keyring.list_credentials, user)
    table = Table(_HEADINGS, [_row(each, desk.now) for each in found])
    return Shown([_document(each) for each in found], (table,) if found else ("There is none.",))


@app.command("edit")
@at_the_desk
def edit(desk: Desk, user: User, name: Name, *, network: From = None, expires: Expires = None) -> Shown:
    """Change from where a credential is good, or until when; who logs in after that is held to it."""
    from relay.accounts.keyring import NewTerms, edit_credential

    if network is None and expires is None:
        raise Failed("Say what to change; see --help.", USAGE)
    changed = desk.write(
        edit_credential,
        NewTerms(desk.author, user, name, lambda terms: _changed(desk, terms, network, expires)),
    )
    return Shown(_document(changed), (f'The credential "{changed.name}" was changed.',))


@app.command("revoke")
@at_the_desk
def revoke(desk: Desk, user: User, name: Name, yes: Yes = False) -> Shown:
    """Take a credential away; whoever is logged in by it is sent away within seconds."""
    from relay.accounts.keyring import Revocation, list_credentials, revoke_credential

    if any(each.name == name.strip() for each in desk.read(list_credentials, user)):
        confirm(f'The credential "{name}" of "{user}" will be good no more.', is_sure=yes)
    gone = desk.write(revoke_credential, Revocation(desk.author, user, name))
    return Shown({"revoked": gone.name}, (f'The credential "{gone.name}" was revoked.',))


@app.command("regenerate")
@at_the_desk
def regenerate(
    desk: Desk,
    user: User,
    name: Name,
    *,
    grace: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="For how long the old password stays good, such as 24h."),
    ] = None,
    password_stdin: PasswordStdin = False,
) -> Shown:
    """Give a credential a new password, on the same terms."""
    from relay.accounts.keyring import Regeneration, regenerate_credential
    from relay.accounts.users import find

    account = desk.read(find, user)
    for_long = timedelta(0) if grace is None else _duration(grace, "--grace")
    password, hashed, keys = _password(desk, account.name, is_given=password_stdin)
    wanted = Regeneration(desk.author, account.name, name, hashed, keys, for_long)
    made = desk.write(regenerate_credential, wanted)
    old = f"The old one stays good for {grace}." if for_long else "The old one is good no more."
    sentence = f'The credential "{made.name}" has a new password. {old}'
    return _told(desk, made, sentence, password, is_given=password_stdin)


def _password(desk: Desk, user: str, *, is_given: bool) -> tuple[str, str, str | None]:
    """The password, its hash, and its sealed SCRAM keys."""
    from relay.accounts.passwords import check_password, generate_password, hash_password
    from relay.accounts.scram import sealed_keys

    password = check_password(password_from_stdin()) if is_given else generate_password()
    return password, hash_password(password), sealed_keys(user, password, desk.sealer)


def _changed(desk: Desk, terms: Terms, network: Sequence[str] | None, expires: str | None) -> Terms:
    from relay.policy.networks import parse_networks

    if network is not None:
        is_any = [word.strip().lower() for word in network] == ["any"]
        terms = replace(terms, networks=None if is_any else parse_networks(" ".join(network)))
    if expires is not None:
        terms = replace(terms, expires_at=_moment(desk.now, expires))
    return terms


def _moment(now: datetime, text: str) -> datetime | None:
    if text.strip().lower() in {"never", "none"}:
        return None
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d")  # noqa: DTZ007  the operator's own, made aware below
    except ValueError:
        return now + _duration(text, "--expires")
    try:
        return (day + timedelta(days=1)).astimezone(UTC)
    except (OverflowError, ValueError):
        raise typer.BadParameter(f'"{text}" is no day of these times.', param_hint="--expires") from None


def _duration(text: str, option: str) -> timedelta:
    from relay.quantities import read_duration

    try:
        return read_duration(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f'"{text}" is no duration such as "24h" or "90d".', param_hint=option
        ) from None


def _told(desk: Desk, made: Credential, sentence: str, password: str, *, is_given: bool) -> Shown:
    warnings = (_OVER,) if _is_over(made, desk.now) else ()
    if is_given:
        return Shown(_document(made), (sentence,), warnings)
    secret: Part = Cell(f"  password  {password}   (shown only this once)", Tone.STRONG)
    return Shown({**_document(made), "password": password}, (sentence, secret), warnings)


def _is_over(one: Credential, now: datetime) -> bool:
    return one.expires_at is not None and one.expires_at <= now


def _row(one: Credential, now: datetime) -> tuple[str | Cell, ...]:
    from relay.cli.printing import moment

    return (
        Cell(one.name, Tone.STRONG),
        ", ".join(one.networks.prefixes) if one.networks else "anywhere",
        Cell(moment(one.expires_at), Tone.BAD if _is_over(one, now) else Tone.QUIET),
        moment(one.last_used_at),
        one.last_used_from or "",
        one.last_used_client or "",
    )


def _document(one: Credential) -> dict[str, Any]:
    return {
        "name": one.name,
        "networks": list(one.networks.prefixes) if one.networks else None,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "last_used_from": one.last_used_from,
        "last_used_client": one.last_used_client,
    }
