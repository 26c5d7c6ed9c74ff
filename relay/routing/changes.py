"""Changing where mail goes; each change is audited, and every process reads the routing anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, literal, select, update

from relay.db.audit import Author, record
from relay.db.revision import Subject, bump
from relay.db.tables import deliveries, route_upstreams, routes, upstreams
from relay.mail.rewriting import to_text
from relay.mail.states import DeliveryState
from relay.routing.routes import DEFAULT_ROUTE
from relay.routing.soundness import checked
from relay.routing.tokens import forget_token
from relay.routing.upstreams import Upstream, find_upstream
from relay.sealing import Sealer

LAST = 1_000_000  # the default route is asked after all others
# What is held is adopted once it is released; what is leased, once it is given back.
# Written into the statement, so that both databases use the index of just these rows.
_ORPHANS = tuple(
    and_(
        deliveries.c.state == literal(state, deliveries.c.state.type, literal_execute=True),
        deliveries.c.route_id.not_in(select(routes.c.id)),
    )
    for state in (DeliveryState.QUEUED, DeliveryState.WAITING)
)


_NOT_CHECKED = {"last_check": None, "last_check_at": None, "last_check_detail": None}


class UpstreamTaken(ValueError):
    """There is an upstream of that name already."""


class UpstreamInUse(ValueError):
    """Routes lead to it; the message names them."""


@dataclass(frozen=True, slots=True)
class NewUpstream:
    """An upstream to add.  The first ever becomes the default route's; `is_default` makes any so."""

    by: Author
    upstream: Upstream
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class EditUpstream:
    """A change of one upstream; `change` is pure, is given the upstream as it stands, and keeps its name.

    If it is reached otherwise afterwards, what its last check found is forgotten.
    """

    by: Author
    name: str
    sealer: Sealer
    change: Callable[[Upstream], Upstream]
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class RemoveUpstream:
    """An upstream to delete; `is_forced`: also if routes lead to it, which then lose it."""

    by: Author
    name: str
    sealer: Sealer
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class OwnUpstream:
    """The upstream that a user's mail goes to; None: the default route's, as everybody's."""

    by: Author
    user_id: str
    user_name: str
    upstream_id: str | None


def require_free(tx: Connection, name: str) -> None:
    """Raise UpstreamTaken if there is an upstream of that name."""
    if tx.execute(select(upstreams.c.id).where(upstreams.c.name == name)).first():
        raise UpstreamTaken(f'There is an upstream "{name}" already.')


def add_upstream(tx: Connection, items: Sequence[NewUpstream]) -> list[Upstream]:
    """Add upstreams.  Raises UpstreamTaken or BadUpstream."""
    return [_add(tx, item) for item in items]


def edit_upstream(tx: Connection, items: Sequence[EditUpstream]) -> list[Upstream]:
    """Change upstreams and return them as they are now.  Raises NoSuchUpstream or BadUpstream."""
    return [_edit(tx, item) for item in items]


def remove_upstream(tx: Connection, items: Sequence[RemoveUpstream]) -> list[None]:
    """Delete upstreams.  Raises NoSuchUpstream, or UpstreamInUse naming the routes that lead to it."""
    for item in items:
        _remove(tx, item)
    return [None] * len(items)


def set_own_upstream(tx: Connection, items: Sequence[OwnUpstream]) -> list[None]:
    """Give users a route to an upstream of their own, or take it away."""
    for item in items:
        _set_own(tx, item)
    return [None] * len(items)


def has_orphans(tx: Connection) -> bool:
    """Whether `adopt_orphans` would find any: a read, so that an idle node writes nothing."""
    return any(tx.execute(select(deliveries.c.part).where(those).limit(1)).first() for those in _ORPHANS)


def adopt_orphans(tx: Connection, items: Sequence[None]) -> list[int]:
    """Send by the default route what waits for a route that is gone; return how many deliveries.

    A message may be accepted by a process that has not yet heard that its route was removed, so
    this is asked from time to time as well as after each removal.
    """
    default = _default_id(tx)
    if default is None:
        return [0] * len(items)
    moved = sum(
        tx.execute(update(deliveries).where(those).values(route_id=default)).rowcount for those in _ORPHANS
    )
    return [moved] * len(items)


# --- one at a time ---------------------------------------------------------------------------


def _add(tx: Connection, item: NewUpstream) -> Upstream:
    upstream = checked(replace(item.upstream, created_at=item.by.at))
    require_free(tx, upstream.name)
    tx.execute(insert(upstreams).values(id=upstream.id, created_at=item.by.at, **_columns(upstream)))
    if item.is_default or not _has_default(tx):
        _lead_default_to(tx, item.by, upstream.id)
    record(tx, item.by, "upstream.add", upstream.name, detail=_told(upstream))
    bump(tx, Subject.ROUTING)
    return upstream


def _edit(tx: Connection, item: EditUpstream) -> Upstream:
    before = find_upstream(tx, item.name, item.sealer)
    after = checked(replace(item.change(before), id=before.id, name=before.name))
    checks = {} if after.is_reached_like(before) else _NOT_CHECKED
    tx.execute(update(upstreams).where(upstreams.c.id == before.id).values(**_columns(after), **checks))
    if before.options.oauth != after.options.oauth or before.password != after.password:
        forget_token(tx, before.id)
    if item.is_default:
        _lead_default_to(tx, item.by, before.id)
    old, new = _told(before), _told(after)
    detail: dict[str, Any] = {name: [old[name], new[name]] for name in new if old[name] != new[name]}
    if before.password != after.password:
        detail["password"] = "changed"  # noqa: S105  the trail says that it was, never what to
    if item.is_default:
        detail["is_default"] = True
    record(tx, item.by, "upstream.edit", after.name, detail=detail)
    bump(tx, Subject.ROUTING)
    return after


def _remove(tx: Connection, item: RemoveUpstream) -> None:
    upstream = find_upstream(tx, item.name, item.sealer)
    legs = route_upstreams.c
    leading = tx.execute(
        select(routes.c.id, routes.c.name)
        .where(routes.c.id.in_(select(legs.route_id).where(legs.upstream_id == upstream.id)))
        .order_by(routes.c.position, routes.c.name)
    ).all()
    if leading and not item.is_forced:
        names = ", ".join(f'"{route.name}"' for route in leading)
        plural = "routes lead" if len(leading) > 1 else "route leads"
        raise UpstreamInUse(
            f'The {plural} to "{upstream.name}": {names}. Lead elsewhere first, or use --force.'
        )
    tx.execute(delete(upstreams).where(upstreams.c.id == upstream.id))
    # A user's route that leads nowhere any more would stop its mail: it goes as everybody's does.
    tx.execute(delete(routes).where(routes.c.user_id.is_not(None), routes.c.id.not_in(select(legs.route_id))))
    adopt_orphans(tx, [None])
    record(tx, item.by, "upstream.delete", upstream.name, detail={"routes": [r.name for r in leading]})
    bump(tx, Subject.ROUTING)


def _set_own(tx: Connection, item: OwnUpstream) -> None:
    found = tx.execute(select(routes.c.id).where(routes.c.user_id == item.user_id)).scalar()
    if item.upstream_id is None:
        if found is None:
            return
        tx.execute(delete(routes).where(routes.c.id == found))
        adopt_orphans(tx, [None])
    else:
        name = f"user:{item.user_name}"[:255]
        route_id = found or _make_route(tx, item.by, name, user_id=item.user_id, position=_next_position(tx))
        _lead_to(tx, route_id, item.upstream_id)
    record(tx, item.by, "user.upstream", item.user_name, detail={"upstream": item.upstream_id})
    bump(tx, Subject.ROUTING)


# --- rows ------------------------------------------------------------------------------------


def _default_id(tx: Connection) -> str | None:
    return tx.execute(select(routes.c.id).where(routes.c.name == DEFAULT_ROUTE)).scalar()


def _has_default(tx: Connection) -> bool:
    leg = select(route_upstreams.c.upstream_id).where(route_upstreams.c.route_id == _default_id(tx))
    return tx.execute(leg).first() is not None


def _lead_default_to(tx: Connection, by: Author, upstream_id: str) -> None:
    route_id = _default_id(tx) or _make_route(tx, by, DEFAULT_ROUTE, user_id=None, position=LAST)
    _lead_to(tx, route_id, upstream_id)
    adopt_orphans(tx, [None])


def _make_route(tx: Connection, by: Author, name: str, *, user_id: str | None, position: int) -> str:
    route_id = by.id()
    tx.execute(insert(routes).values(id=route_id, name=name, position=position, user_id=user_id))
    return route_id


def _next_position(tx: Connection) -> int:
    highest = tx.execute(select(func.max(routes.c.position)).where(routes.c.position < LAST)).scalar()
    return (highest or 0) + 1


def _lead_to(tx: Connection, route_id: str, upstream_id: str) -> None:
    tx.execute(delete(route_upstreams).where(route_upstreams.c.route_id == route_id))
    tx.execute(insert(route_upstreams).values(route_id=route_id, upstream_id=upstream_id, position=1))


def _columns(upstream: Upstream) -> Mapping[str, Any]:
    return {
        "name": upstream.name,
        "kind": upstream.kind.value,
        "is_enabled": upstream.is_enabled,
        "host": upstream.host or None,
        "port": upstream.port or None,
        "tls": upstream.tls.value,
        "verify_tls": upstream.verify_tls,
        "pinned_ca": upstream.pinned_ca,
        "username": upstream.username,
        "password_sealed": upstream.password.sealed if upstream.password else None,
        "sender_address": str(upstream.sender_address) if upstream.sender_address else None,
        "archive_address": str(upstream.archive_address) if upstream.archive_address else None,
        "timeout_seconds": round(upstream.timeout.total_seconds()),
        "concurrency": upstream.concurrency,
        "limits": upstream.limits.to_json(),
        "rewrite": to_text(upstream.rewrite),
        "options": upstream.options.to_json(),
    }


def _told(upstream: Upstream) -> Mapping[str, Any]:
    """What the audit trail may say of an upstream."""
    return {name: value for name, value in _columns(upstream).items() if name != "password_sealed"}
