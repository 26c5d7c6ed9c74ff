"""relay settings …: what can be changed while the relay runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.asking import confirm
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.cli.shown import Cell, Fields, Shown, Table, Tone

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from relay.db.audit import Author
    from relay.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What can be changed while the relay runs.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The setting, as `relay settings list` names it.")]


@app.command("list")
@at_the_desk
def list_settings(
    desk: Desk,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that are not at their default.")
    ] = False,
) -> Shown:
    """List all settings, their values and their defaults."""
    from relay.settings import SETTINGS, load, render

    in_force = desk.read(load)
    names = [name for name in SETTINGS if not changed or _is_changed(in_force, name)]
    rows = [
        (
            Cell(name, Tone.STRONG if _is_changed(in_force, name) else Tone.PLAIN),
            Cell(render(getattr(in_force, name)), Tone.STRONG if _is_changed(in_force, name) else Tone.PLAIN),
            Cell(render(SETTINGS[name].default), Tone.QUIET),
            SETTINGS[name].explanation,
        )
        for name in names
    ]
    table = Table(("setting", "value", "default", "what it is for"), rows)
    nothing = "Every setting is at its default."
    return Shown([_document(in_force, name) for name in names], (table,) if rows else (nothing,))


@app.command("get")
@at_the_desk
def get(desk: Desk, name: Name) -> Shown:
    """Show one setting."""
    from relay.settings import declaration, load, render

    declared, in_force = declaration(name), desk.read(load)
    fields = Fields(
        (
            (name, Cell(render(getattr(in_force, name)), Tone.STRONG)),
            ("default", render(declared.default)),
            ("at least", None if declared.least is None else render(declared.least)),
            ("at most", None if declared.most is None else render(declared.most)),
            ("", declared.explanation),
        )
    )
    return Shown(_document(in_force, name), (fields,))


@app.command("set")
@at_the_desk
def set_one(
    desk: Desk,
    name: Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Such as 30m, 4h, 25M, yes.")],
) -> Shown:
    """Change a setting; every process follows within seconds."""
    from relay.settings import load, render

    desk.write(_store, _Order(desk.author, {name: value}))
    in_force = desk.read(load)
    return Shown(_document(in_force, name), (f"{name} is now {render(getattr(in_force, name))}.",))


@app.command("reset")
@at_the_desk
def reset(
    desk: Desk,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Which; none: all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, said aloud.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Shown:
    """Put settings back to their defaults; shows what will be lost, and asks."""
    from relay.settings import SETTINGS, declaration, load, render

    if names and everything:
        raise Failed("Either name settings, or take --all.", USAGE)
    in_force = desk.read(load)
    wanted = [declaration(name).name for name in names or SETTINGS]
    lost = {name: SETTINGS[name].default for name in wanted if _is_changed(in_force, name)}
    if not lost:
        return Shown({"reset": []}, ("Nothing to put back: everything is at its default.",))
    told = [f"{name} ({render(getattr(in_force, name))} → {render(value)})" for name, value in lost.items()]
    confirm(f"Back to the default: {', '.join(told)}.", is_sure=yes)
    desk.write(_store, _Order(desk.author, {name: render(value) for name, value in lost.items()}))
    return Shown({"reset": list(lost)}, (f"Put back: {', '.join(told)}.",))


@dataclass(frozen=True, slots=True)
class _Order:
    """Settings to store, as text by name."""

    by: Author
    values: dict[str, str]


def _store(tx: Connection, items: Sequence[_Order]) -> list[None]:
    """Store settings, and note in the audit trail what they were."""
    from relay.db.audit import record
    from relay.settings import declaration, load, render, store

    for item in items:
        before = load(tx)
        for name, text in item.values.items():
            old = render(getattr(before, declaration(name).name))
            new = render(store(tx, name, text, item.by.at))
            record(tx, item.by, "settings.set", name, detail={"value": [old, new]})
    return [None] * len(items)


def _is_changed(in_force: Settings, name: str) -> bool:
    from relay.settings import SETTINGS

    return bool(getattr(in_force, name) != SETTINGS[name].default)


def _document(in_force: Settings, name: str) -> dict[str, Any]:
    from relay.settings import SETTINGS, render

    declared, value = SETTINGS[name], getattr(in_force, name)
    return {
        "name": name,
        "value": render(value),
        "default": render(declared.default),
        "is_changed": value != declared.default,
        "explanation": declared.explanation,
    }
