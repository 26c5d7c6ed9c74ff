"""relay serve, migrate, version: the relay itself."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Shown


@at_the_desk
def serve(
    desk: Desk,
    in_one_process: Annotated[
        bool, typer.Option("--in-one-process", help="Everything in one process, for tests and tiny machines.")
    ] = False,
) -> Shown:
    """Start the relay: open the ports, take mail, deliver it. Ends with SIGTERM or Ctrl-C."""
    from relay import supervisor

    code = supervisor.serve(desk.config, in_one_process=in_one_process)
    return Shown({"exit_code": code}, (), exit_code=code)


@at_the_desk
def migrate(desk: Desk) -> Shown:
    """Bring the database to the schema that this relay needs."""
    from relay.db.migrate import head

    has_changed = desk.migrate()
    told = f"The database was brought to revision {head()}." if has_changed else "The database is up to date."
    return Shown({"revision": head(), "has_changed": has_changed}, (told,))


@at_the_desk
def version(desk: Desk) -> Shown:  # noqa: ARG001  every command has a desk
    """Show the version."""
    from relay import __version__

    return Shown({"version": __version__}, (f"relay {__version__}",))
