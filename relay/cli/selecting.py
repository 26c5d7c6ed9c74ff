"""Finding the mail that was chosen, and carrying out what is ordered for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from relay.accounts.users import find
from relay.cli.asking import confirm
from relay.cli.choosing import Chosen, Order, parse_id
from relay.cli.desk import Desk
from relay.cli.faults import FAILED
from relay.cli.shown import Shown
from relay.db.audit import record
from relay.mail.priority import Priority
from relay.queue.control import AT_MOST
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState
from relay.routing import routes
from relay.routing.upstreams import find_upstream


def carry_out(desk: Desk, order: Order, chosen: Chosen, *, is_sure: bool) -> Shown:
    """Do what *order* says to all that was chosen, and tell how much that was."""
    chosen.check()
    if order.warning is not None:
        confirm(order.warning, is_sure=is_sure)
    moved = sum(_to_all_of(desk, order, chosen, selection) for selection in selections(desk, chosen))
    if not moved:
        told = f'Nothing of that {order.wanted}; see "relay queue list".'
        return Shown({"deliveries": 0}, (told,), exit_code=FAILED)
    return Shown({"deliveries": moved}, (f"{deliveries(moved)} {order.done}.",))


def deliveries(number: int) -> str:
    """So many deliveries, in words."""
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"


def _to_all_of(desk: Desk, order: Order, chosen: Chosen, selection: Selection) -> int:
    def step(tx: Connection, items: Sequence[Any]) -> Sequence[int]:
        moved: Sequence[int] = order.function(tx, items)
        if sum(moved):
            detail = {"deliveries": sum(moved), **chosen.named}
            record(tx, desk.author, order.action, " ".join(chosen.ids)[:255], detail=detail)
        return moved

    total, moved = 0, AT_MOST
    while moved >= AT_MOST:
        moved = desk.write(step, order.of(selection))
        total += moved
    return total


def selections(desk: Desk, chosen: Chosen) -> list[Selection]:
    """What was chosen, as the queue understands it; several where one cannot say it.

    Raises NoSuchUser or NoSuchUpstream.
    """
    narrowed = Selection(
        user_id=None if chosen.user is None else desk.read(find, chosen.user).id,
        priority=None if chosen.priority is None else Priority(chosen.priority),
        state=None if chosen.state is None else DeliveryState(chosen.state),
    )
    return [
        replace(narrowed, message_ids=message_ids, part=part, route_id=route_id)
        for part, message_ids in _messages(chosen)
        for route_id in _routes(desk, chosen)
    ]


def _messages(chosen: Chosen) -> Iterable[tuple[int | None, tuple[str, ...] | None]]:
    if not chosen.ids:
        return [(None, None)]
    by_part = defaultdict[int | None, list[str]](list)
    for message_id, part in map(parse_id, chosen.ids):
        by_part[part].append(message_id)
    return [(part, tuple(message_ids)) for part, message_ids in by_part.items()]


def _routes(desk: Desk, chosen: Chosen) -> Sequence[str | None]:
    if chosen.upstream is None:
        return [None]
    wanted = desk.read(find_upstream, chosen.upstream, desk.sealer)
    table = desk.read(routes.load, desk.sealer)
    return [route.id for route in table.routes if wanted.id in route.upstream_ids]
