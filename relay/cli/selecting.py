"""Finding the mail that was chosen, and carrying out what is ordered for it."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import typer
from sqlalchemy import Connection

from relay.accounts.users import find
from relay.cli.asking import confirm
from relay.cli.choosing import Chosen, Order, parse_id
from relay.cli.desk import Desk
from relay.cli.faults import FAILED, Failed
from relay.cli.mail import STATES
from relay.cli.shown import Shown
from relay.db.audit import record
from relay.mail.address import Address, BadAddress, fold_domain
from relay.mail.priority import Priority
from relay.quantities import read_duration
from relay.queue import browse, control
from relay.queue.orders import affected, perhaps_delivered
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState
from relay.routing import routes
from relay.routing.route_changes import Rule, all_rules, find_rule
from relay.routing.routes import Route, RoutingTable
from relay.routing.upstreams import Upstream, find_upstream


def carry_out(desk: Desk, order: Order, chosen: Chosen, *, is_sure: bool, is_dry: bool) -> Shown:
    """Do what *order* says to all that was chosen, and tell how much that was; ask before what is large.

    Asked is whoever sits at a terminal and named mail by more than its ids, and everybody before
    what cannot be taken back.
    """
    chosen.check()
    meant = selections(desk, chosen)
    orders = [order.of(selection) for selection in meant]
    found = [desk.read(affected, each) for each in orders]
    doubtful = _doubtful(desk, order, orders)
    in_hand = sum(desk.read(browse.counts, selection).leased for selection in meant) if order.takes_due else 0
    warnings = (*map(_twice, filter(None, doubtful.values())), *map(_left_alone, filter(None, (in_hand,))))
    by_state = sum((Counter(each.deliveries) for each in found), Counter[DeliveryState]())
    if not by_state:
        told = f'Nothing of that {order.wanted}; see "relay queue list".'
        return Shown({"deliveries": 0, **doubtful}, (told,), warnings, exit_code=FAILED)
    reached, others = sum(each.recipients for each in found), sum(each.others for each in found)
    told = f"{_extent(by_state, reached)}.{_spared(others)}"
    if is_dry:
        document = {"deliveries": 0, "would_be": by_state, "recipients": reached, "others": others}
        return Shown({**document, **doubtful}, (f"It would be {told}",), warnings)
    if order.warning is not None:
        confirm(f"{order.warning} It is {told}", is_sure=is_sure)
    elif not chosen.ids and sys.stdin.isatty():
        confirm(" ".join((f"This is {told}", *warnings, "Go on?")), is_sure=is_sure)
    sums = Counter[str]()
    for each in orders:
        sums.update(_to_all_of(desk, order, chosen, each))
    done = order.done if isinstance(order.done, str) else order.done(sums)
    return Shown({**sums, **doubtful}, (f"{deliveries(sums['deliveries'])} {done}.",), warnings)


def deliveries(number: int) -> str:
    """So many deliveries, in words."""
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"


def _extent(by_state: Counter[DeliveryState], reached: int) -> str:
    how = ", ".join(f"{number} {STATES[state].text}" for state, number in by_state.items())
    return (
        f"{deliveries(by_state.total())} to {reached} {'recipient' if reached == 1 else 'recipients'}: {how}"
    )


def _doubtful(desk: Desk, order: Order, orders: Sequence[Any]) -> dict[str, int]:
    """Of how many deliveries the last try perhaps went through, if the order sends them again."""
    if not order.sends_again:
        return {}
    return {"perhaps_delivered": sum(desk.read(perhaps_delivered, each) for each in orders)}


def _twice(number: int) -> str:
    """What whoever orders another try must know of so many deliveries."""
    whose = "its recipients may get it" if number == 1 else "their recipients may get them"
    return (
        f"{deliveries(number)} perhaps arrived at the last try: the upstream had the whole message, "
        f"and the line broke before its answer. Sent again, {whose} twice."
    )


def _left_alone(number: int) -> str:
    """What whoever orders something must know of so many deliveries that a process has in its hands."""
    stay = (
        "is being delivered, and stays as it is"
        if number == 1
        else "are being delivered, and stay as they are"
    )
    return f'{deliveries(number)} {stay}; "relay queue stop" gives back what has not begun.'


def _spared(others: int) -> str:
    """What becomes of recipients that share a delivery with those that are meant."""
    if not others:
        return ""
    whom = (
        "other recipient of it stays as it is" if others == 1 else "other recipients of it stay as they are"
    )
    return f" {others} {whom}."


def _to_all_of(desk: Desk, order: Order, chosen: Chosen, each: Any) -> Counter[str]:
    def step(tx: Connection, items: Sequence[Any]) -> Sequence[Counter[str]]:
        moved = [Counter(order.counted(result)) for result in order.function(tx, items)]
        for counts in moved:
            if counts["deliveries"]:
                detail = {**counts, **chosen.named, **order.detail}
                record(tx, desk.author, order.action, " ".join(chosen.ids)[:255], detail=detail)
        return moved

    at_most = order.at_most or control.AT_MOST
    sums = Counter[str]()
    while True:
        moved = desk.write(step, each)
        sums.update(moved)
        if moved["deliveries"] < at_most:
            return sums


def selections(desk: Desk, chosen: Chosen) -> list[Selection]:
    """What was chosen, as the queue understands it; several where one cannot say it.

    Raises NoSuchUser, NoSuchUpstream, Failed, or typer's BadParameter.
    """
    narrowed = Selection(
        sender=_party(chosen.sender, "--sender"),
        recipient=_party(chosen.recipient, "--recipient"),
        tag=chosen.tag,
        accepted_before=None if chosen.older_than is None else desk.now - _duration(chosen.older_than),
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
    """Also those that are passed over: their mail still waits, and goes by the default route meanwhile."""
    if chosen.upstream is None and chosen.route is None:
        return [None]
    found = desk.read(all_rules) if chosen.route is None else (desk.read(find_rule, chosen.route),)
    if chosen.upstream is not None:
        wanted = desk.read(find_upstream, chosen.upstream, desk.sealer)
        table = desk.read(routes.load, desk.sealer)
        taken = {rule.id: table.route(rule.id) for rule in found}
        return [rule_id for rule_id, route in taken.items() if route and wanted.id in route.upstream_ids]
    return [rule.id for rule in found]


def route_named(desk: Desk, name: str) -> Rule:
    """The route called *name*, if mail can take it.  Raises NoSuchRoute or Failed."""
    rule = desk.read(find_rule, name)
    if rule.why_passed_over:
        raise Failed(f'No mail can take the route "{name}": it {rule.why_passed_over}.')
    return rule


def route_to(table: RoutingTable, upstream: Upstream) -> Route:
    """The route that leads to *upstream* most plainly: to it alone, or at least to it first.

    Raises Failed if there is none.
    """
    leading = [route for route in table.routes if route.upstream_ids[:1] == (upstream.id,)]
    if not leading:
        raise Failed(f'No route leads to "{upstream.name}" first: name a route, or make one that does.')
    # A user's own route goes when the user does, and its mail to the default route with it.
    return min(leading, key=lambda route: (len(route.upstream_ids), route.user_id is not None))


def _party(text: str | None, option: str) -> str | None:
    """An address or a domain, checked.  Raises typer's BadParameter."""
    if not text:
        return text
    local, _, domain = text.rpartition("@")
    try:
        Address.parse(f"{local or 'anybody'}@{domain}")
        return f"{local}@{fold_domain(domain)}"
    except BadAddress as fault:
        raise typer.BadParameter(f'"{text}" is no address or domain: {fault}.', param_hint=option) from None


def _duration(text: str) -> timedelta:
    try:
        return read_duration(text)
    except ValueError:
        told = f'"{text}" is no duration such as "30m", "2h" or "1d 12h".'
        raise typer.BadParameter(told, param_hint="--older-than") from None
