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
    """Read a password; at a terminal, asked for twice."""
    return secret_from_stdin("password", is_confirmed=True)


def secret_from_stdin(what: str, *, is_confirmed: bool = False) -> str:
    """Read a secret, called *what*: the first line of standard input, without its end.

    At a terminal it is asked for and not shown; twice, if it is to be confirmed.
    """
    if sys.stdin.isatty():
        answer: str = typer.prompt(
            what.capitalize(), hide_input=True, confirmation_prompt=is_confirmed, err=True
        )
        return answer
    try:
        given = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Failed(f"The {what} on standard input is not UTF-8.", BAD_DATA) from None
    if not given:
        raise Failed(f"There is no {what} on standard input.", BAD_DATA)
    return given
