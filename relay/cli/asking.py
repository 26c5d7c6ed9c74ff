"""Asking whoever sits at the terminal; never whoever does not."""

from __future__ import annotations

import sys

import typer

from relay.cli.faults import BAD_DATA, USAGE, Failed


def confirm(question: str, *, is_sure: bool) -> None:
    """Go on only if the operator is sure; in a script, that has to be said with --yes."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise Failed(f"{question} Nobody is there to ask: say so with --yes.", USAGE)
    typer.confirm(question, abort=True, err=True)


def password_from_stdin() -> str:
    """Read a password: the first line of standard input, without its end.

    At a terminal it is asked for and not shown.
    """
    if sys.stdin.isatty():
        answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    try:
        given = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Failed("The password on standard input is not UTF-8.", BAD_DATA) from None
    if not given:
        raise Failed("There is no password on standard input.", BAD_DATA)
    return given
