"""Which mail a command of `relay queue` is about, and doing something to all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import typer
from sqlalchemy import Connection

from relay.accounts.users import find
from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.db.audit import record
from relay.mail.priority import Priority
from relay.queue.control import AT_MOST
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState
from relay.routing import routes
from relay.routing.upstreams import find_upstream

Order = TypeVar("Order")
_ID_LENGTH = 26


@dataclass(frozen=True, slots=True)
class Chosen:
    """The arguments that say which mail is meant."""

    ids: tuple[str, ...] = ()
    everything: bool = False
    user: str | None = None
    upstream: str | None = None
    state: str | None = None
    priority: int | None = None

    def check(self) -> None:
        """Refuse an order that does not say which mail: "all of it" must be said."""
        if self == Chosen():
            raise Failed("Say which mail: ids, a filter such as --user, or --all.", USAGE)
        for text in self.ids:
            parse_id(text)

    def selections(self, desk: Desk) -> list[Selection]:
        """The same for the queue; several where one cannot say it.

        Raises NoSuchUser or NoSuchUpstream.
        """
        narrowed = Selection(
            user_id=None if self.user is None else desk.read(find, self.user).id,
            priority=None if self.priority is None else Priority(self.priority),
            state=None if self.state is None else DeliveryState(self.state),
        )
        return [
            Selection(message_ids, part, narrowed.user_id, route_id, narrowed.priority, narrowed.state)
            for message_ids, part in self._messages()
            for route_id in self._routes(desk)
        ]

    def _messages(self) -> list[tuple[tuple[str, ...] | None, int | None]]:
        if not self.ids:
            return [(None, None)]
        return [((message_id,), part) for message_id, part in map(parse_id, self.ids)]

    def _routes(self, desk: Desk) -> Sequence[str | None]:
        if self.upstream is None:
            return [None]
        wanted = desk.read(find_upstream, self.upstream, desk.sealer)
        table = desk.read(routes.load, desk.sealer)
        return [route.id for route in table.routes if wanted.id in route.upstream_ids]


def parse_id(text: str) -> tuple[str, int | None]:
    """Read the id of a message, or of a delivery (the message's, a dash, and the part's number)."""
    message_id, dash, part = text.strip().upper().partition("-")
    if len(message_id) != _ID_LENGTH or not message_id.isalnum() or (dash and not part.isdecimal()):
        raise typer.BadParameter(f'"{text}" is no id of a message or delivery.', param_hint="ID")
    return message_id, int(part) if part else None


def carry_out(
    desk: Desk,
    action: str,
    chosen: Chosen,
    function: Callable[[Connection, Sequence[Order]], Sequence[int]],
    order: Callable[[Selection], Order],
) -> int:
    """Do *function* to all that was chosen, in steps that hold up nobody; return how many moved."""
    chosen.check()

    def step(tx: Connection, items: Sequence[Order]) -> Sequence[int]:
        moved = function(tx, items)
        if sum(moved):
            detail: dict[str, Any] = {"deliveries": sum(moved), **_named(chosen)}
            record(tx, desk.author, action, " ".join(chosen.ids)[:255], detail=detail)
        return moved

    total = 0
    for selection in chosen.selections(desk):
        moved = AT_MOST
        while moved >= AT_MOST:
            moved = desk.write(step, order(selection))
            total += moved
    return total


def _named(chosen: Chosen) -> dict[str, str | int]:
    named = {
        "user": chosen.user,
        "upstream": chosen.upstream,
        "state": chosen.state,
        "priority": chosen.priority,
    }
    return {name: value for name, value in named.items() if value is not None}
