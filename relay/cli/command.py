"""What all commands have in common: their options, their errors, and how their answers are printed.

A command is a function of a Desk and its own options that returns what it Shows.  Here it is given
the options that every command takes, so that they are understood anywhere on the line.
"""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.desk import Desk, Options
from relay.cli.faults import explain
from relay.cli.printing import complain, show
from relay.cli.shown import Shown

PANEL = "Options of every command"
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", rich_help_panel=PANEL, help="The configuration file; else $RELAY_CONFIG."
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=PANEL, help="Answer in JSON, errors as well.")]
Debug = Annotated[
    bool, typer.Option("--debug", rich_help_panel=PANEL, help="Show the details of an unexpected error.")
]
_COMMON = {"config": (Config, None), "as_json": (Json, False), "debug": (Debug, False)}


def at_the_desk(command: Callable[..., Shown]) -> Callable[..., None]:
    """Make *command*, whose first parameter is the Desk, into one that typer can call."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    ctx = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in _COMMON.items()
    ]
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]

    @functools.wraps(command)
    def called(ctx: typer.Context, **given: Any) -> None:
        options = _options(ctx, **{name: given.pop(name) for name in _COMMON})
        with reported(options):
            desk = Desk(options)
            try:
                shown = command(desk, **given)
            finally:
                desk.close()
            show(shown, as_json=options.as_json)
        raise typer.Exit(shown.exit_code)

    parameters = [ctx, *own, *common]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


@contextmanager
def reported(options: Options) -> Iterator[None]:
    """Report whatever goes wrong within in one sentence, never with a traceback unless asked for."""
    try:
        yield
    except (typer.TyperException, typer.Exit, typer.Abort, BrokenPipeError):
        raise  # main's business
    except Exception as fault:  # noqa: BLE001  here is the end of the line
        if options.debug:
            traceback.print_exc(file=sys.stderr)
        explained = explain(fault)
        complain("error", explained.sentence, as_json=options.as_json, exit_code=explained.exit_code)
        raise typer.Exit(explained.exit_code) from None


def before(ctx: typer.Context, config: Config = None, as_json: Json = False, debug: Debug = False) -> None:
    """Take what is given before a noun or its verb: `relay --json user list`, `relay user --json list`."""
    ctx.obj = _options(ctx, config=config, as_json=as_json, debug=debug)


def _options(ctx: typer.Context, *, config: Path | None, as_json: bool, debug: bool) -> Options:
    """What was given here, or else before."""
    earlier = ctx.obj or Options()
    return Options(config or earlier.config, as_json or earlier.as_json, debug or earlier.debug)
