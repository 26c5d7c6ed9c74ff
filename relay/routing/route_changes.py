"""Changing the rules that say where mail goes; each change is audited, and every process reads them anew."""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import route_upstreams, routes
from relay.routing.changes import LAST, adopt_orphans
from relay.routing.conditions import ANYTHING, Conditions, from_members, to_members
from relay.routing.routes import DEFAULT_ROUTE, Leg

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_WEIGHT = 1000


class BadRoute(ValueError):
    """A route cannot be so; the message says what to mend."""


class RouteTaken(ValueError):
    """There is a route of that name already."""


class NoSuchRoute(LookupError):
    """There is no route of that name; the message suggests the nearest."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A route as operators see it: also one that is switched off, or leads nowhere."""

    id: str
    name: str
    is_enabled: bool
    user_id: str | None
    conditions: Conditions
    legs: tuple[Leg, ...]

    @property
    def is_default(self) -> bool:
        """Whether it takes what no other is for."""
        return self.name == DEFAULT_ROUTE

    @property
    def why_passed_over(self) -> str:
        """What keeps all mail from taking it, the end of a sentence about it; empty: nothing does."""
        if not self.is_enabled:
            return "is switched off"
        return "" if self.legs else "leads to no upstream"


@dataclass(frozen=True, slots=True)
class NewRoute:
    """A route to add, behind all others or before the route `before`."""

    by: Author
    name: str
    legs: tuple[Leg, ...]
    conditions: Conditions
    before: str | None = None


@dataclass(frozen=True, slots=True)
class EditRoute:
    """What to change of a route; None: nothing of that."""

    by: Author
    name: str
    legs: tuple[Leg, ...] | None = None
    conditions: Conditions | None = None
    is_enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class MoveRoute:
    """A route to be asked right before the route `before`; None: behind all others."""

    by: Author
    name: str
    before: str | None


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """A route to delete; the mail that waits for it goes by the default route."""

    by: Author
    name: str


def all_rules(tx: Connection) -> Sequence[Rule]:
    """Return every route, in the order in which they are asked, the default route last."""
    legs = defaultdict[str, list[Leg]](list)
    in_order = select(route_upstreams).order_by(route_upstreams.c.position, route_upstreams.c.upstream_id)
    for row in tx.execute(in_order):
        legs[row.route_id].append(Leg(row.upstream_id, row.position, row.weight))
    return [
        Rule(
            id=row.id,
            name=row.name,
            is_enabled=row.is_enabled,
            user_id=row.user_id,
            conditions=from_members(json.loads(row.conditions)),
            legs=tuple(legs[row.id]),
        )
        for row in tx.execute(select(routes).order_by(routes.c.position, routes.c.name))
    ]


def find_rule(tx: Connection, name: str) -> Rule:
    """Return the route called *name*.  Raises NoSuchRoute."""
    rules = {rule.name: rule for rule in all_rules(tx)}
    if name not in rules:
        near = difflib.get_close_matches(name, rules, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ' See "relay route list".'
        raise NoSuchRoute(f'There is no route "{name}".{hint}')
    return rules[name]


def add_route(tx: Connection, items: Sequence[NewRoute]) -> list[Rule]:
    """Add routes.  Raises RouteTaken, BadRoute, or NoSuchRoute for the one to stand before."""
    return [_add(tx, item) for item in items]


def edit_route(tx: Connection, items: Sequence[EditRoute]) -> list[Rule]:
    """Change routes and return them as they are now.  Raises NoSuchRoute or BadRoute."""
    return [_edit(tx, item) for item in items]


def move_route(tx: Connection, items: Sequence[MoveRoute]) -> list[Rule]:
    """Change the order in which routes are asked.  Raises NoSuchRoute or BadRoute."""
    return [_move(tx, item) for item in items]


def remove_route(tx: Connection, items: Sequence[RemoveRoute]) -> list[None]:
    """Delete routes.  Raises NoSuchRoute, or BadRoute for the default route."""
    for item in items:
        _remove(tx, item)
    return [None] * len(items)


def _add(tx: Connection, item: NewRoute) -> Rule:
    if not _NAME.fullmatch(item.name):
        raise BadRoute("A route's name has up to 64 letters, digits, dots, dashes or underscores.")
    if tx.execute(select(routes.c.id).where(routes.c.name == item.name)).first():
        raise RouteTaken(f'There is a route "{item.name}" already.')
    if item.conditions == ANYTHING:
        raise BadRoute("A route needs a condition: for all mail there is the default route.")
    _check_legs(item.legs)
    _check_conditions(item.conditions)
    route_id = item.by.id()
    tx.execute(
        insert(routes).values(
            id=route_id,
            name=item.name,
            position=_make_room(tx, item.before),
            conditions=_written(item.conditions),
        )
    )
    _lead(tx, route_id, item.legs)
    _told(tx, item.by, "route.add", item.name, conditions=to_members(item.conditions), to=item.legs)
    return find_rule(tx, item.name)


def _edit(tx: Connection, item: EditRoute) -> Rule:
    rule = find_rule(tx, item.name)
    if rule.is_default and item.is_enabled is False:
        raise BadRoute("The default route cannot be switched off: it takes what no other route is for.")
    if item.conditions is not None:
        if rule.is_default or rule.user_id is not None:
            whose = "The default route" if rule.is_default else "A user's own route"
            raise BadRoute(f"{whose} has no conditions; add another route.")
        if item.conditions == ANYTHING:
            raise BadRoute("A route needs a condition: for all mail there is the default route.")
    _check_conditions(item.conditions or rule.conditions)
    if item.legs is not None:  # else it stays as it is, also where its upstreams were deleted
        _check_legs(item.legs)
        _lead(tx, rule.id, item.legs)
    conditions = rule.conditions if item.conditions is None else item.conditions
    is_enabled = rule.is_enabled if item.is_enabled is None else item.is_enabled
    tx.execute(
        update(routes)
        .where(routes.c.id == rule.id)
        .values(conditions=_written(conditions), is_enabled=is_enabled)
    )
    after = find_rule(tx, item.name)
    _told(
        tx, item.by, "route.edit", item.name,
        conditions=to_members(conditions), to=after.legs, is_enabled=is_enabled,
    )  # fmt: skip
    return after


def _move(tx: Connection, item: MoveRoute) -> Rule:
    rule = find_rule(tx, item.name)
    if rule.is_default:
        raise BadRoute("The default route stays last: it takes what no other route is for.")
    if item.before == item.name:
        raise BadRoute("A route cannot stand before itself.")
    tx.execute(
        update(routes).where(routes.c.id == rule.id).values(position=_make_room(tx, item.before, rule.id))
    )
    _told(tx, item.by, "route.move", item.name, before=item.before)
    return find_rule(tx, item.name)


def _remove(tx: Connection, item: RemoveRoute) -> None:
    rule = find_rule(tx, item.name)
    if rule.is_default:
        raise BadRoute("The default route cannot be deleted: it takes what no other route is for.")
    tx.execute(delete(routes).where(routes.c.id == rule.id))
    adopt_orphans(tx, [None])
    _told(tx, item.by, "route.delete", item.name, to=rule.legs)


def _check_legs(legs: Sequence[Leg]) -> None:
    if not legs:
        raise BadRoute("A route leads to at least one upstream.")
    if len({leg.upstream_id for leg in legs}) < len(legs):
        raise BadRoute("A route leads to each upstream once.")
    if not all(1 <= leg.weight <= _MOST_WEIGHT for leg in legs):
        raise BadRoute(f"A weight is 1 to {_MOST_WEIGHT}.")


def _check_conditions(conditions: Conditions) -> None:
    if None not in (conditions.least, conditions.most) and (conditions.least or 0) > (conditions.most or 0):
        raise BadRoute("No message is at least larger than it is at most.")


def _make_room(tx: Connection, before: str | None, but: str = "") -> int:
    """Return a free position before that route, or behind all but the default one."""
    if before is None or before == DEFAULT_ROUTE:
        highest = select(func.max(routes.c.position)).where(routes.c.position < LAST, routes.c.id != but)
        return (tx.execute(highest).scalar() or 0) + 1
    stands = select(routes.c.position).where(routes.c.id == find_rule(tx, before).id)
    place: int = tx.execute(stands).scalar_one()
    behind = routes.c.position.between(place, LAST - 1)
    tx.execute(update(routes).where(behind).values(position=routes.c.position + 1))
    return place


def _lead(tx: Connection, route_id: str, legs: Sequence[Leg]) -> None:
    tx.execute(delete(route_upstreams).where(route_upstreams.c.route_id == route_id))
    tx.execute(
        insert(route_upstreams),
        [
            {"route_id": route_id, "upstream_id": leg.upstream_id, "position": leg.rank, "weight": leg.weight}
            for leg in legs
        ],
    )


def _written(conditions: Conditions) -> str:
    return json.dumps(to_members(conditions), ensure_ascii=False)


def _told(tx: Connection, by: Author, action: str, name: str, **detail: object) -> None:
    record(tx, by, action, name, detail=detail)
    bump(tx, Subject.ROUTING)
