"""Taking messages of users who have quotas: counted, and perhaps refused or held, as they are accepted.

The users are locked first, so that all processes together let in no message too many.  Mail of users
without quotas never comes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from relay.accounts.usage import Charge, Usage, charge_minutes, lock, used_in
from relay.policy.limits import Limits
from relay.policy.quotas import Beyond, Quota, Unit, Window
from relay.queue.accept import accept
from relay.queue.items import Acceptance, Notice
from relay.queue.notices import note

KIND = "quota"
_LONGER_THAN_A_MONTH = timedelta(days=32)


class Metered(NamedTuple):
    """A message whose user has *limits*; `notice_id` is for the notice, if it comes to one."""

    acceptance: Acceptance
    user_id: str
    limits: Limits
    notice_id: str


class Metering(NamedTuple):
    """What became of it.

    `exceeded` is the quota that it went beyond, if any: used up before, or one that it alone is more than.
    """

    is_kept: bool
    exceeded: Quota | None = None
    was_used_up: bool = False
    is_beyond_all: bool = False


class _Meter:
    """What each user used so far: before this transaction, and by the messages taken in it."""

    def __init__(self, tx: Connection) -> None:
        self._tx = tx
        self._used: dict[tuple[str, Window, datetime], Usage] = {}

    def used(self, item: Metered, window: Window) -> Usage:
        now = item.acceptance.accepted_at
        key = (item.user_id, window, window.begin(now))
        if key not in self._used:
            self._used[key] = used_in(self._tx, item.user_id, window, now)
        return self._used[key]

    def add(self, item: Metered, cost: Usage) -> None:
        now = item.acceptance.accepted_at
        for window in {quota.window for quota in item.limits.quotas}:
            before = self.used(item, window)
            self._used[item.user_id, window, window.begin(now)] = _sum(before, cost)


def accept_metered(tx: Connection, items: Sequence[Metered]) -> list[Metering]:
    """Keep messages within their users' quotas; hold or leave out those beyond, as each user's limits say.

    A notice is raised when four fifths of a quota are used, and for the first message beyond.
    """
    lock(tx, {item.user_id for item in items})
    meter = _Meter(tx)
    meterings: list[Metering] = []
    kept: list[Acceptance] = []
    charges: list[Charge] = []
    told: list[Notice] = []
    for item in items:
        cost = _cost(item.acceptance)
        exceeded = _exceeded(meter, item, cost)
        if exceeded is not None:
            told.append(_notice(item, [exceeded], item.limits.beyond.value))
        if exceeded is not None and item.limits.beyond is Beyond.REFUSE:
            meterings.append(_refused(meter, item, exceeded, cost))
            continue
        if exceeded is None and (near := _nearly_used(meter, item, cost)):
            told.append(_notice(item, near, "near"))
        meter.add(item, cost)
        kept.append(item.acceptance if exceeded is None else _held(item.acceptance, exceeded))
        if any(quota.window is Window.MINUTE for quota in item.limits.quotas):
            charges.append(Charge(item.user_id, item.acceptance.accepted_at, cost.recipients, cost.octets))
        meterings.append(Metering(is_kept=True, exceeded=exceeded))
    accept(tx, kept)
    charge_minutes(tx, charges)
    note(tx, told)
    return meterings


def _cost(acceptance: Acceptance) -> Usage:
    return Usage(1, len(acceptance.envelope.recipients), len(acceptance.content))


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.messages + other.messages, one.recipients + other.recipients, one.octets + other.octets)


def counted(usage: Usage, unit: Unit) -> int:
    """Return how much of *unit* there is in *usage*."""
    match unit:
        case Unit.MESSAGES:
            return usage.messages
        case Unit.RECIPIENTS:
            return usage.recipients
        case Unit.OCTETS:
            return usage.octets


def _exceeded(meter: _Meter, item: Metered, cost: Usage) -> Quota | None:
    for quota in item.limits.quotas:
        after = counted(_sum(meter.used(item, quota.window), cost), quota.unit)
        if quota.is_exceeded_by(after):
            return quota
    return None


def _refused(meter: _Meter, item: Metered, exceeded: Quota, cost: Usage) -> Metering:
    before = counted(meter.used(item, exceeded.window), exceeded.unit)
    return Metering(
        is_kept=False,
        exceeded=exceeded,
        was_used_up=exceeded.is_exceeded_by(before + 1),
        is_beyond_all=exceeded.is_exceeded_by(counted(cost, exceeded.unit)),
    )


def _nearly_used(meter: _Meter, item: Metered, cost: Usage) -> list[Quota]:
    near = []
    for quota in item.limits.quotas:
        before = counted(meter.used(item, quota.window), quota.unit)
        if quota.comes_near(before, before + counted(cost, quota.unit)):
            near.append(quota)
    return near


def _held(acceptance: Acceptance, exceeded: Quota) -> Acceptance:
    """The same, to stay until an operator decides; whoever reserved room for it must give that back.

    The quota comes before whatever else it is held for, so that nothing but the operator lets it go.
    """
    reason = f"beyond the quota of {exceeded}"
    parts = [
        part._replace(lease=None, hold_reason=f"{reason}; {part.hold_reason}" if part.hold_reason else reason)
        for part in acceptance.parts
    ]
    return acceptance._replace(parts=tuple(parts))


def _notice(item: Metered, quotas: Sequence[Quota], outcome: str) -> Notice:
    acceptance = item.acceptance
    # With how much it allows: a quota that was raised meanwhile is worth a warning of its own
    windows = ",".join(
        f"{quota.most} {quota.name}={quota.window.begin(acceptance.accepted_at):%Y%m%d%H%M}"
        for quota in quotas
    )
    return Notice(
        id=item.notice_id,
        kind=KIND,
        user_id=item.user_id,
        facts={
            "user": (acceptance.session and acceptance.session.user) or "",
            "quota": ", ".join(str(quota) for quota in quotas),
            "outcome": outcome,
            "client": acceptance.session.peer_address if acceptance.session else "",
        },
        key=f"{KIND}:{item.user_id}:{outcome}:{windows}",
        interval=_LONGER_THAN_A_MONTH,
    )
