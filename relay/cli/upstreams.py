"""An upstream with its health and its routes, as the commands of `relay upstream` show and change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

import typer

from relay.cli import rewrites
from relay.cli.desk import Desk
from relay.cli.printing import moment
from relay.cli.services import (
    NOTHING_WANTED,
    ServiceWanted,
    how_to_consent,
    login_words,
    needs_consent,
)
from relay.cli.shown import Cell, Fields, Tone
from relay.cli.standings import Standing, limits_shown, standing
from relay.mail.address import Address, BadAddress
from relay.mail.rewriting import to_members
from relay.queue.stops import load_stops
from relay.routing import routes
from relay.routing.health import CheckResult, Health, load_health
from relay.routing.presets import PRESETS
from relay.routing.standing import load_stands
from relay.routing.tokens import Token, find_token
from relay.routing.upstreams import Kind, Password, Tls, Upstream, all_upstreams, find_upstream
from relay.sealing import Sealer

HEADINGS = ("name", "kind", "where", "tls", "enabled", "state", "routes", "last check", "last success")
_NONE = "none"
_MAIL_PORT, _IMPLICIT_PORT, _SUBMISSION_PORT = 25, 465, 587


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as they were given; None: not given, and left as it is.

    `no_ca` takes the certificate to trust away.
    """

    host: str | None = None
    port: int | None = None
    tls: str | None = None
    username: str | None = None
    password: str | None = None
    pinned_ca: str | None = None
    no_ca: bool = False
    verify: bool | None = None
    sender: str | None = None
    archive: str | None = None
    timeout: int | None = None
    concurrency: int | None = None
    service: ServiceWanted = NOTHING_WANTED

    def applied_to(self, upstream: Upstream, sealer: Sealer) -> Upstream:
        """Return *upstream* with what is wanted.  Raises typer's BadParameter."""
        changes: dict[str, Any] = {
            "host": self.host,
            "verify_tls": self.verify,
            "concurrency": self.concurrency,
            "timeout": None if self.timeout is None else timedelta(seconds=self.timeout),
            "password": None if self.password is None else Password(sealer.seal(self.password), sealer),
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        if self.pinned_ca is not None or self.no_ca:
            changes["pinned_ca"] = self.pinned_ca
        if self.username is not None:
            changes |= (
                {"username": self.username}
                if self.username != _NONE
                else {"username": None, "password": None}
            )
        if self.sender is not None:
            changes["sender_address"] = address(self.sender, "--sender")
        if self.archive is not None:
            changes["archive_address"] = address(self.archive, "--archive")
        preset = self.service.preset
        if Kind.MX in {upstream.kind, PRESETS[preset].kind if preset else None}:
            tls = Tls.OPPORTUNISTIC if upstream.port == 0 else upstream.tls
            changes |= {
                "port": self.port or upstream.port or _MAIL_PORT,
                "tls": Tls(self.tls) if self.tls else tls,
            }
        elif upstream.kind is Kind.SMTP and (preset is None or self.port or self.tls):
            changes |= self._port_and_tls(upstream)
        return self.service.applied_to(replace(upstream, **changes), sealer)

    def _port_and_tls(self, upstream: Upstream) -> dict[str, Any]:
        """Port and TLS mode of a new one go together: where only one is given, the other follows.

        One that has both keeps what is not given.
        """
        port = self.port or upstream.port
        if self.tls is not None:
            tls = Tls(self.tls)
        elif self.port is not None and not upstream.port:
            tls = Tls.IMPLICIT if self.port == _IMPLICIT_PORT else Tls.STARTTLS
        else:
            tls = upstream.tls
        return {"tls": tls, "port": port or (_IMPLICIT_PORT if tls is Tls.IMPLICIT else _SUBMISSION_PORT)}


def address(text: str, option: str) -> Address | None:
    """Read the address given with *option*; "none" is none.  Raises typer's BadParameter."""
    try:
        return None if text == _NONE else Address.parse(text)
    except BadAddress as fault:
        raise typer.BadParameter(f'"{text}" is no e-mail address: {fault}.', param_hint=option) from None


@dataclass(frozen=True, slots=True)
class Seen:
    """An upstream, how it fares, and which routes lead to it."""

    upstream: Upstream
    health: Health
    routes: tuple[str, ...]
    standing: Standing
    token: Token | None = None  # what there is to log in with, where that is a token


def everything(desk: Desk) -> list[Seen]:
    """All upstreams, by name."""
    return _seen(desk, desk.read(all_upstreams, desk.sealer))


def one(desk: Desk, name: str) -> Seen:
    """One upstream.  Raises NoSuchUpstream."""
    return _seen(desk, [desk.read(find_upstream, name, desk.sealer)])[0]


def _seen(desk: Desk, found: Sequence[Upstream]) -> list[Seen]:
    health = desk.read(load_health)
    table = desk.read(routes.load, desk.sealer)
    stands, stops = desk.read(load_stands, desk.now), desk.read(load_stops)
    return [
        Seen(
            u,
            health[u.id],
            tuple(route.name for route in table.routes if u.id in route.upstream_ids),
            standing(u, stands.get(u.id, ()), stops, desk.now),
            desk.read(find_token, u.id, desk.sealer) if u.options.oauth else None,
        )
        for u in found
    ]


def row(seen: Seen) -> tuple[str | Cell, ...]:
    """An upstream as a row under HEADINGS."""
    upstream = seen.upstream
    return (
        Cell(upstream.name, Tone.STRONG),
        upstream.kind.value,
        upstream.place,
        upstream.tls.value if upstream.port else "",
        Cell("yes", Tone.GOOD) if upstream.is_enabled else Cell("no", Tone.BAD),
        seen.standing.cell,
        ", ".join(seen.routes),
        _last_check(seen.health),
        moment(seen.health.last_success_at),
    )


def card(seen: Seen) -> Fields:
    """An upstream with everything about it."""
    upstream, health = seen.upstream, seen.health
    is_server = upstream.kind in {Kind.SMTP, Kind.MX}
    is_remote = upstream.kind is not Kind.SANDBOX
    return Fields(
        (
            ("name", Cell(upstream.name, Tone.STRONG)),
            ("kind", upstream.kind.value),
            ("where", upstream.place),
            ("enabled", Cell("yes", Tone.GOOD) if upstream.is_enabled else Cell("no", Tone.BAD)),
            *seen.standing.rows,
            ("routes", ", ".join(seen.routes) or Cell("no route leads here", Tone.QUIET)),
            ("tls", upstream.tls.value if is_server else None),
            ("resolver", upstream.options.resolver or None),
            ("certificate", _trust(upstream) if _is_secured(upstream) else None),
            ("provider", upstream.options.preset or None),
            ("login", login_words(upstream)),
            ("token", _token(seen.token)),
            ("sender", str(upstream.sender_address or "")),
            ("archive copy", str(upstream.archive_address or "")),
            *rewrites.rows(upstream.rewrite),
            ("timeout", f"{upstream.timeout.total_seconds():.0f} s" if is_remote else None),
            ("connections", f"at most {upstream.concurrency}" if is_remote else None),
            *limits_shown(upstream.limits),
            ("last check", _last_check(health)),
            ("", health.last_check_detail),
            ("last connected", moment(health.last_connected_at)),
            ("last success", moment(health.last_success_at)),
        )
    )


def left_to_do(seen: Seen) -> tuple[str, ...]:
    """What an operator has yet to do, as long as there is no right to tokens."""
    if not needs_consent(seen.upstream) or (seen.token is not None and seen.token.refresh is not None):
        return ()
    return (how_to_consent(seen.upstream),)


def document(seen: Seen) -> dict[str, Any]:
    """An upstream as --json shows it: everything but the password."""
    hidden = {"password", "pinned_ca", "limits", "rewrite"}
    shown = {f.name: getattr(seen.upstream, f.name) for f in fields(Upstream) if f.name not in hidden}
    return {
        **shown,
        "has_password": seen.upstream.password is not None,
        "has_pinned_ca": seen.upstream.pinned_ca is not None,
        "rewrite": to_members(seen.upstream.rewrite),
        "limits": seen.upstream.limits.to_members(),
        "standing": seen.standing.document,
        "routes": seen.routes,
        **{f.name: getattr(seen.health, f.name) for f in fields(Health)},
    }


def _token(token: Token | None) -> str | Cell | None:
    if token is None:
        return None
    if token.fault is not None:
        return Cell(token.fault, Tone.BAD)
    if token.expires_at is None:
        return Cell("none yet", Tone.QUIET)
    return f"good until {moment(token.expires_at)}, then replaced"


def _is_secured(upstream: Upstream) -> bool:
    return upstream.options.is_secure or (upstream.port > 0 and upstream.tls is not Tls.NONE)


def _trust(upstream: Upstream) -> str | Cell:
    if upstream.tls is Tls.OPPORTUNISTIC:
        return "verified where a domain's MTA-STS policy demands it"
    if not upstream.verify_tls:
        return Cell("not verified", Tone.BAD)
    return "verified by the one given" if upstream.pinned_ca else "verified by the system's authorities"


def _last_check(health: Health) -> Cell:
    if health.last_check is None:
        return Cell("not done", Tone.QUIET)
    tone = Tone.GOOD if health.last_check is CheckResult.SUCCESS else Tone.BAD
    return Cell(f"{health.last_check.value}, {moment(health.last_check_at)}", tone)


def untuned(upstream: Upstream) -> Upstream:
    """*upstream* with the timeout, connections and limits of a new one."""
    fresh = Upstream("", "", upstream.kind)
    return replace(upstream, timeout=fresh.timeout, concurrency=fresh.concurrency, limits=fresh.limits)


def tuning_lost(upstream: Upstream) -> dict[str, tuple[str, str]]:
    """What `untuned` would change, by its name: what it is, and what it would be."""
    before, after = _tuning(upstream), _tuning(untuned(upstream))
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def _tuning(upstream: Upstream) -> dict[str, str]:
    limits = {f.name: str(getattr(upstream.limits, f.name)) for f in fields(upstream.limits)}
    return {
        "timeout": f"{upstream.timeout.total_seconds():.0f} s",
        "concurrency": str(upstream.concurrency),
        **{name: "none" if value == "None" else value.lower() for name, value in limits.items()},
    }
