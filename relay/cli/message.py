"""relay message …: what became of one message."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import Failed
from relay.cli.shown import Shown

app = typer.Typer(no_args_is_help=True, help="What became of one message.")


@app.callback()
def _noun() -> None:
    """Without this, typer makes a noun with one verb a verb."""


@app.command("show")
@at_the_desk
def show(
    desk: Desk,
    message: Annotated[str, typer.Argument(metavar="ID", help="The id that the client was told.")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="The message itself, as it is sent.")] = False,
) -> Shown:
    """Tell the whole story of a message: who, from where, by which route, every attempt and reply."""
    from relay.cli import stories
    from relay.cli.choosing import parse_id
    from relay.queue.content import read_content

    if not raw:
        return stories.tell(desk, message)
    stories.find(desk, message)
    content = desk.read(read_content, parse_id(message)[0])
    if content is None:
        raise Failed("The message itself is no longer kept: it was delivered, or given up.")
    return Shown({"id": parse_id(message)[0], "content": content.decode("utf-8", "replace")}, (content,))
