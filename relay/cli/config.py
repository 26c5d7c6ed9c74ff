"""relay config …: what needs a restart to change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Cell, Shown, Table, Tone

app = typer.Typer(no_args_is_help=True, help="What needs a restart to change.")


@app.command("show")
@at_the_desk
def show(
    desk: Desk,
    origin: Annotated[bool, typer.Option("--origin", help="Also where each value comes from.")] = False,
) -> Shown:
    """Show the configuration in force; passwords within a URL are hidden."""
    from relay.config_file import find_file

    file = find_file(desk.options.config)
    values = dict(_flat(desk.config.model_dump(mode="json")))
    values["database.url"] = _without_password(desk.config.database_url)
    origins = _origins(desk) if origin else {}
    rows = [
        (Cell(name, Tone.STRONG), _text(value), *((origins.get(name, "default"),) if origin else ()))
        for name, value in values.items()
    ]
    headings = ("key", "value", "from") if origin else ("key", "value")
    told = f"The configuration is read from {file or 'no file'} and the environment."
    document: dict[str, Any] = {"file": str(file) if file else None, "values": values}
    if origin:
        document["origins"] = {name: origins.get(name, "default") for name in values}
    return Shown(document, (told, Table(headings, rows)))


def _origins(desk: Desk) -> dict[str, str]:
    """Where each value comes from that is not the default: the environment goes before the file."""
    from relay.config_file import find_file, read_document

    found = {}
    file = find_file(desk.options.config)
    if file is not None:
        found = dict.fromkeys(dict(_flat(read_document(file))), str(file))
    for variable in os.environ:
        if variable.upper().startswith("RELAY_"):
            name = variable.upper().removeprefix("RELAY_").lower().replace("__", ".")
            found[name] = f"${variable}"
    return found


def _flat(document: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its key written as in TOML: database.url, listeners."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case list():
            return "\n".join(_text(item) for item in value)
        case dict():
            return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
        case _:
            return str(value)


def _without_password(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)
