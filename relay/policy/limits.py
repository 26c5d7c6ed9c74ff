"""What may be done at most: values, and how they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from relay.policy.grants import Grants
from relay.policy.networks import Networks
from relay.policy.quotas import Beyond, Quota, known_quotas


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be done at most: a user's own limits, or the server's.  None: no limit of that kind.

    `recipients` are the addresses and domains that may be sent to, `networks` those that may be sent
    from; `longest_hold` is how far ahead a message may be scheduled; `beyond` is what becomes of a
    message that goes beyond one of the `quotas`.
    """

    max_message_bytes: int | None = None
    max_recipients: int | None = None
    max_received_fields: int | None = None
    longest_hold: timedelta | None = None
    recipients: Grants | None = None
    networks: Networks | None = None
    quotas: tuple[Quota, ...] = ()
    beyond: Beyond = Beyond.REFUSE


_NUMBERS = ("max_message_bytes", "max_recipients", "max_received_fields")


def to_members(limits: Limits) -> dict[str, Any]:
    """Return *limits* as the members of a JSON object, only those that are set."""
    members: dict[str, Any] = {
        name: number for name in _NUMBERS if (number := getattr(limits, name)) is not None
    }
    if limits.longest_hold is not None:
        members["longest_hold"] = int(limits.longest_hold.total_seconds())
    if limits.recipients is not None:
        members["recipients"] = list(limits.recipients.patterns)
    if limits.networks is not None:
        members["networks"] = list(limits.networks.prefixes)
    if limits.quotas:
        members["quotas"] = {quota.name: quota.most for quota in limits.quotas}
    if limits.beyond is not Beyond.REFUSE:
        members["beyond"] = limits.beyond.value
    return members


def from_members(members: Mapping[str, Any]) -> Limits:
    """Read what `to_members` returned; members that this version does not know say nothing."""
    recipients, networks = members.get("recipients"), members.get("networks")
    seconds = members.get("longest_hold")
    return Limits(
        **{name: members[name] for name in _NUMBERS if name in members},
        longest_hold=None if seconds is None else timedelta(seconds=seconds),
        recipients=None if recipients is None else Grants(tuple(recipients)),
        networks=None if networks is None else Networks(tuple(networks)),
        quotas=known_quotas(members.get("quotas", {})),
        beyond=Beyond(members.get("beyond", Beyond.REFUSE)),
    )


_Amount = TypeVar("_Amount", int, timedelta)


def lower(one: _Amount | None, other: _Amount | None) -> _Amount | None:
    """The smaller of two limits, either of which may be none."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
