"""relay user limits …: how much a user may send, to whom, from where, and how far ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.shown import Fields, Shown
from relay.cli.user import Name

if TYPE_CHECKING:
    from relay.policy.limits import Limits

_NONE = "none"

Quotas = Annotated[
    list[str] | None,
    typer.Option(
        "--quota",
        metavar="UNIT/WINDOW=MOST",
        help="Such as messages/hour=100, recipients/day=1000, octets/day=2G, by the calendar (UTC); several: "
        'repeat. messages/hour=none takes one away, "none" all.',
    ),
]
Recipients = Annotated[
    list[str] | None,
    typer.Option(
        "--recipient",
        metavar="PATTERN",
        help='To whom it may send: bob@example.org, example.org or *.example.org; "none": to anybody.',
    ),
]
FromNetworks = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="CIDR", help='From where it may send; "none": from anywhere.'),
]
LongestHold = Annotated[
    str | None,
    typer.Option(
        "--longest-hold",
        metavar="TIME",
        help='How far ahead it may schedule a message, such as 12h or 7d; "none": as far as anybody.',
    ),
]
Beyond = Annotated[
    Literal["refuse", "hold"] | None,
    typer.Option("--beyond", help="What becomes of mail beyond a quota: refused for now, or held."),
]


@at_the_desk
def limits(
    desk: Desk,
    name: Name,
    *,
    quota: Quotas = None,
    beyond: Beyond = None,
    recipient: Recipients = None,
    network: FromNetworks = None,
    longest_hold: LongestHold = None,
) -> Shown:
    """Show or change how much a user may send, to whom, from where, and how far ahead."""
    from relay.accounts.users import Edit, edit, find
    from relay.policy.limits import to_members
    from relay.policy.quotas import Beyond as WhatThen

    account = desk.read(find, name)
    if quota or beyond or recipient or network or longest_hold:

        def changed(limits: Limits) -> Limits:
            if quota:
                limits = _with_quotas(limits, quota)
            if beyond:
                limits = replace(limits, beyond=WhatThen(beyond))
            if recipient:
                limits = replace(limits, recipients=_recipients(recipient))
            if longest_hold:
                limits = replace(limits, longest_hold=_duration(longest_hold))
            return replace(limits, networks=_networks(network)) if network else limits

        account = desk.write(
            edit,
            Edit(desk.author, account.name, lambda profile: replace(profile, limits=changed(profile.limits))),
        )
    document = {"name": account.name, "limits": to_members(account.profile.limits)}
    return Shown(document, (Fields((("name", account.name), *_shown(account.profile.limits))),))


def _with_quotas(limits: Limits, written: list[str]) -> Limits:
    from relay.policy.quotas import quota
    from relay.quantities import read_number

    quotas = {each.name: each for each in limits.quotas}
    for text in written:
        name, _, most = text.partition("=")
        if text == _NONE:
            quotas.clear()
        elif most == _NONE:
            quotas.pop(quota(name, 0).name, None)
        else:
            try:
                number = read_number(most)
            except ValueError:
                raise typer.BadParameter(
                    f'"{text}" names no number; write {name}=100.', param_hint="--quota"
                ) from None
            quotas[name] = quota(name, number)
    return replace(limits, quotas=tuple(quotas[name] for name in sorted(quotas)))


def _recipients(written: list[str]) -> Any:
    from relay.policy.grants import Grants, parse_patterns

    return None if written == [_NONE] else Grants(parse_patterns(",".join(written)))


def _networks(written: list[str]) -> Any:
    from relay.policy.networks import parse_networks

    return None if written == [_NONE] else parse_networks(",".join(written))


def _duration(written: str) -> timedelta | None:
    from relay.quantities import read_duration

    if written == _NONE:
        return None
    try:
        return read_duration(written)
    except ValueError:
        raise typer.BadParameter(
            f'"{written}" is no time such as 12h or 7d.', param_hint="--longest-hold"
        ) from None


def _shown(limits: Limits) -> tuple[tuple[str, str | None], ...]:
    from relay.settings import render

    hold = None if limits.longest_hold is None else render(limits.longest_hold)
    return (
        ("quotas", "\n".join(map(str, limits.quotas)) or "none"),
        ("beyond a quota", limits.beyond.value if limits.quotas else None),
        ("may send to", "\n".join(limits.recipients.patterns) if limits.recipients else "anybody"),
        ("may send from", "\n".join(limits.networks.prefixes) if limits.networks else "anywhere"),
        ("may schedule ahead", hold),
    )
