"""relay send-test: a real message, through the relay's own door, to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import FAILED, OK, TRY_LATER
from relay.cli.shown import Shown
from relay.places import host_and_port

_CODES = {"delivered": OK, "open": TRY_LATER}  # by what became of its one recipient


@at_the_desk
def send_test(
    desk: Desk,
    *,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="Who sends it.")],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Who gets it.")],
    sender: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", help="As whom; if not given, as whom the user may."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Where the relay is; this machine.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Its port; by the configuration.")
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help="The user's password is on standard input; else one is made for this."
        ),
    ] = False,
    wait: Annotated[int, typer.Option(metavar="SECONDS", min=0, help="How long to wait for its end.")] = 15,
) -> Shown:
    """Send a real message through the relay's own port, as a client would, and tell what became of it.

    Exit code 1 if it was refused or failed, 75 if it still waits.
    """
    from relay.accounts.users import find
    from relay.cli import stories, trial

    account = desk.read(find, user)
    letter = trial.letter_of(account, to, sender, desk.now)
    door = trial.door_of(desk.config, host, port)
    with trial.password_for(desk, account, is_given=password_stdin) as password:
        message_id = trial.submit(door, account.name, password, letter)
    trial.wait_for_end(desk, message_id, seconds=wait)
    told = stories.tell(desk, message_id)
    (recipient,) = told.document["recipients"]
    return Shown(
        told.document,
        (f"Taken by {host_and_port(door.host, door.port)} as {message_id}.", "", *told.parts),
        exit_code=_CODES.get(recipient.state, FAILED),
    )
