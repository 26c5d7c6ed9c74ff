"""relay sender …: requests to send as an address that was not granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.printing import moment
from relay.cli.shown import Cell, Shown, Table, Tone

if TYPE_CHECKING:
    from relay.accounts.sender_requests import SenderRequest
    from relay.mail.address import Address
    from relay.queue.items import Acceptance

app = typer.Typer(no_args_is_help=True, help="Requests to send as an address that was not granted.")

Id = Annotated[str, typer.Argument(metavar="ID", help='The request, as "relay sender list" shows it.')]


@app.command("request")
@at_the_desk
def request(
    desk: Desk,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="As whom the user would like to send.")],
    *,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who would like to.")],
    no_letter: Annotated[
        bool, typer.Option("--no-letter", help="Do not ask the address by mail; only an operator decides.")
    ] = False,
) -> Shown:
    """Ask for a sender: an operator decides, or the address itself, which is asked by a letter."""
    from relay.accounts.sender_requests import Wish, make_token
    from relay.accounts.users import find
    from relay.notify.sender_requests import Asking, ask

    wanted, account = _address(address), desk.read(find, user)
    token, token_hash = make_token()
    letter = None if no_letter else _letter(desk, wanted, account.name, token)
    made = desk.write(ask, Asking(Wish(desk.author, account.name, wanted, token_hash), letter))
    told = "" if no_letter else f" {made.address} is asked by mail."
    return Shown(made, (f"Request {made.id}: {made.user} would like to send as {made.address}.{told}",))


@app.command("list")
@at_the_desk
def list_requests(
    desk: Desk,
    state: Annotated[
        Literal["open", "approved", "declined"] | None, typer.Option(help="Only those that stand so.")
    ] = None,
) -> Shown:
    """List requests, the newest first."""
    from relay.accounts.sender_requests import State, find_requests

    found = desk.read(find_requests, state=None if state is None else State(state))
    rows = [
        (
            Cell(each.id, Tone.STRONG),
            each.user,
            each.address,
            each.state.value,
            moment(each.requested_at),
            each.decided_by or "",
        )
        for each in found
    ]
    table = Table(("id", "user", "wants to send as", "state", "asked", "decided by"), rows)
    return Shown(found, (table,) if rows else ("There are no such requests.",))


@app.command("approve")
@at_the_desk
def approve(desk: Desk, request_id: Id) -> Shown:
    """Grant what was asked for; mail that is held for lack of it flows, each in its old place."""
    from relay.accounts.sender_requests import Ruling, rule

    return _granted(desk, desk.write(rule, Ruling(desk.author, request_id.upper(), is_approved=True)))


@app.command("decline")
@at_the_desk
def decline(desk: Desk, request_id: Id) -> Shown:
    """Do not grant it; mail that is held stays held."""
    from relay.accounts.sender_requests import Ruling, rule

    decided = desk.write(rule, Ruling(desk.author, request_id.upper(), is_approved=False))
    return Shown(decided, (f"{decided.user} may not send as {decided.address}.",))


@app.command("confirm")
@at_the_desk
def confirm(
    desk: Desk,
    token: Annotated[
        str, typer.Argument(metavar="CODE", help="From the letter to the address, the end of its link.")
    ],
) -> Shown:
    """Grant what the address itself agreed to, by the code that it was mailed."""
    from relay.accounts.sender_requests import Confirmation
    from relay.accounts.sender_requests import confirm as confirm_it

    return _granted(desk, desk.write(confirm_it, Confirmation(desk.author, token.strip())))


def _granted(desk: Desk, decided: SenderRequest) -> Shown:
    from relay.queue.granted import Regrant, release_granted

    total, after = 0, ""
    while True:
        released = desk.write(release_granted, Regrant(decided.user, desk.now, after))
        total += released.deliveries
        if released.after is None:
            break
        after = released.after
    flowing = f" {total} held {'delivery flows' if total == 1 else 'deliveries flow'} again." if total else ""
    return Shown(
        {"request": decided, "released": total},
        (f"{decided.user} may send as {decided.address} now.{flowing}",),
    )


def _letter(desk: Desk, to: Address, user: str, token: str) -> Acceptance:
    from relay.notify.sender_requests import consent_letter
    from relay.routing.routes import load as load_routing
    from relay.routing.routes import plan
    from relay.settings import load

    routing = desk.read(load_routing, desk.sealer)
    return consent_letter(
        to,
        user,
        token,
        letter_id=desk.author.id(),
        hostname=desk.config.hostname,
        public_url=desk.config.admin.public_url,
        settings=desk.read(load),
        route_of=lambda envelope: plan(routing, envelope, None),
    )


def _address(text: str) -> Address:
    from relay.mail.address import Address, BadAddress

    try:
        return Address.parse(text)
    except BadAddress as fault:
        raise typer.BadParameter(f'"{text}" is no e-mail address: {fault}.', param_hint="ADDRESS") from None
