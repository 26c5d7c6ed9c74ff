"""A route with its conditions and its upstreams, as the commands of `relay route` show and change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import typer

from relay.accounts.users import everybody, find
from relay.cli.desk import Desk
from relay.cli.printing import size
from relay.cli.shown import Cell, Fields, Shown, Tone
from relay.cli.standings import standing
from relay.mail.priority import Priority
from relay.policy.grants import Grants, parse_patterns
from relay.quantities import read_number
from relay.queue.stops import load_stops
from relay.routing.conditions import Conditions, to_members
from relay.routing.route_changes import Rule, all_rules, find_rule
from relay.routing.routes import Leg
from relay.routing.standing import load_stands
from relay.routing.upstreams import Upstream, all_upstreams, find_upstream

HEADINGS = ("name", "mail", "leads to", "enabled")
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as they were given; None: not given, and left as it is."""

    users: Sequence[str] | None = None
    senders: Sequence[str] | None = None
    recipients: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    priorities: Sequence[str] | None = None
    least: str | None = None
    most: str | None = None

    def applied_to(self, conditions: Conditions, desk: Desk) -> Conditions:
        """Return *conditions* with what is asked.  Raises NoSuchUser, BadPattern, typer's BadParameter."""
        changes: dict[str, Any] = {}
        if self.users is not None:
            changes["users"] = frozenset(desk.read(find, name).id for name in _given(self.users))
        if self.senders is not None:
            changes["senders"] = _patterns(self.senders)
        if self.recipients is not None:
            changes["recipients"] = _patterns(self.recipients)
        if self.tags is not None:
            changes["tags"] = frozenset(tag.lower() for tag in _given(self.tags))
        if self.priorities is not None:
            changes["priorities"] = frozenset(_priority(text) for text in _given(self.priorities))
        if self.least is not None:
            changes["least"] = _octets(self.least, "--at-least")
        if self.most is not None:
            changes["most"] = _octets(self.most, "--at-most")
        return replace(conditions, **changes)


def _given(written: Sequence[str]) -> Sequence[str]:
    """What was written; "none" takes the condition away."""
    return () if list(written) == [_NONE] else written


def _patterns(written: Sequence[str]) -> Grants | None:
    given = _given(written)
    return Grants(parse_patterns(",".join(given))) if given else None


def _priority(text: str) -> Priority:
    try:
        return Priority(int(text))
    except ValueError:
        raise typer.BadParameter(
            f'"{text}" is no priority; write 1 (before all others) to 5.', param_hint="--priority"
        ) from None


def _octets(text: str, option: str) -> int | None:
    try:
        return None if text == _NONE else read_number(text)
    except ValueError:
        raise typer.BadParameter(f'"{text}" is no size; write 10M.', param_hint=option) from None


def legs(desk: Desk, to: Sequence[str]) -> tuple[Leg, ...]:
    """Read where a route leads: one rank for each --to.  Raises NoSuchUpstream or typer's BadParameter."""
    found = []
    for rank, together in enumerate(to, 1):
        for each in together.split(","):
            name, _, weight = each.strip().partition("=")
            if weight and not weight.isdecimal():
                raise typer.BadParameter(f'"{weight}" is no weight; write {name}=3, say.', param_hint="--to")
            found.append(Leg(desk.read(find_upstream, name, desk.sealer).id, rank, int(weight or 1)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Seen:
    """A route with what its ids mean: names of users and upstreams, and which of those take no mail now."""

    rule: Rule
    users: Sequence[str]
    upstreams: dict[str, Upstream]
    troubles: dict[str, str]  # sentences, by upstream

    @property
    def led(self) -> str:
        """Where it leads: "a (3), b (1); then c"."""
        ranks: dict[int, list[Leg]] = {}
        for leg in self.rule.legs:
            ranks.setdefault(leg.rank, []).append(leg)
        return "; then ".join(
            ", ".join(
                self.upstreams[leg.upstream_id].name + (f" ({leg.weight})" if len(together) > 1 else "")
                for leg in together
            )
            for together in ranks.values()
        )

    @property
    def conditions(self) -> Sequence[tuple[str, str]]:
        """What it asks, in words."""
        asked = self.rule.conditions
        levels = ", ".join(str(int(priority)) for priority in sorted(asked.priorities))
        told = (
            ("of", ", ".join(self.users)),
            ("from", ", ".join(asked.senders.patterns) if asked.senders else ""),
            ("for", ", ".join(asked.recipients.patterns) if asked.recipients else ""),
            ("tagged", ", ".join(sorted(asked.tags))),
            ("priority", levels),
            ("at least", "" if asked.least is None else size(asked.least)),
            ("at most", "" if asked.most is None else size(asked.most)),
        )
        return [(what, value) for what, value in told if value]


def everything(desk: Desk) -> Sequence[Seen]:
    """All routes, in the order in which they are asked."""
    return _seen(desk, desk.read(all_rules))


def one(desk: Desk, name: str, done: str | None = None) -> Shown:
    """Answer with one route, after saying what was *done*.  Raises NoSuchRoute."""
    seen = _seen(desk, [desk.read(find_rule, name)])[0]
    return Shown(document(seen), (done, card(seen)) if done else (card(seen),))


def _seen(desk: Desk, rules: Sequence[Rule]) -> Sequence[Seen]:
    named = {account.id: account.name for account in desk.read(everybody)}
    upstreams = {upstream.id: upstream for upstream in desk.read(all_upstreams, desk.sealer)}
    stands, stops = desk.read(load_stands, desk.now), desk.read(load_stops)
    found = []
    for rule in rules:
        users = {rule.user_id} if rule.user_id else rule.conditions.users
        led_to = [upstreams[leg.upstream_id] for leg in rule.legs]
        standings = {each.id: standing(each, stands.get(each.id, ()), stops, desk.now) for each in led_to}
        troubles = {upstream_id: each.trouble for upstream_id, each in standings.items() if each.trouble}
        found.append(Seen(rule, sorted(named.get(user, "(gone)") for user in users), upstreams, troubles))
    return found


def row(seen: Seen) -> tuple[str | Cell, ...]:
    """A route as a row under HEADINGS."""
    asked = "; ".join(f"{what} {value}" for what, value in seen.conditions)
    return (
        Cell(seen.rule.name, Tone.STRONG),
        asked or "all other mail",
        Cell(seen.led, Tone.BAD if seen.troubles else Tone.PLAIN) if seen.led else _NOWHERE,
        Cell("yes", Tone.GOOD) if seen.rule.is_enabled else Cell("no", Tone.BAD),
    )


_NOWHERE = Cell("nowhere: it is passed over", Tone.BAD)


def card(seen: Seen) -> Fields:
    """A route with everything about it."""
    troubles = Cell("\n".join(seen.troubles.values()), Tone.BAD) if seen.troubles else None
    return Fields(
        (
            ("name", Cell(seen.rule.name, Tone.STRONG)),
            ("enabled", Cell("yes", Tone.GOOD) if seen.rule.is_enabled else Cell("no", Tone.BAD)),
            *(seen.conditions or (("mail", "all that no other route is for"),)),
            ("leads to", seen.led or _NOWHERE),
            ("now", troubles),
        )
    )


def document(seen: Seen) -> dict[str, Any]:
    """A route as --json shows it."""
    rule = seen.rule
    return {
        "name": rule.name,
        "is_enabled": rule.is_enabled,
        "is_default": rule.is_default,
        "conditions": {**to_members(rule.conditions), **({"users": seen.users} if seen.users else {})},
        "to": [
            {"upstream": seen.upstreams[leg.upstream_id].name, "rank": leg.rank, "weight": leg.weight}
            for leg in rule.legs
        ],
        "troubles": list(seen.troubles.values()),
    }
