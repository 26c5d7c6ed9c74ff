"""Cutting a message into deliveries: one for each route, and at most so many recipients in each."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from relay.queue.items import Lease, Part

T = TypeVar("T")


def divide(
    plan: Mapping[str, tuple[int, ...]],
    *,
    at_most: int,
    due_at: datetime,
    rank_at: datetime,
    hold_reason: str | None = None,
    lease_for: Callable[[str], Lease | None] = lambda _route_id: None,
) -> tuple[Part, ...]:
    """Return the parts of a message, numbered from 1.

    *plan* says which recipients, by number, go by which route; *lease_for* may give the delivery of
    a route to the process that accepts it.
    """
    parts: list[Part] = []
    for route_id, numbers in plan.items():
        for some in cut(numbers, at_most):
            parts.append(
                Part(
                    part=len(parts) + 1,
                    route_id=route_id,
                    recipients=some,
                    due_at=due_at,
                    rank_at=rank_at,
                    lease=None if hold_reason else lease_for(route_id),
                    hold_reason=hold_reason,
                )
            )
    return tuple(parts)


def cut(several: Sequence[T], at_most: int) -> tuple[tuple[T, ...], ...]:
    """*several* in groups of at most so many, in their order."""
    if 0 < len(several) <= at_most:
        return (tuple(several),)
    return tuple(tuple(several[start : start + at_most]) for start in range(0, len(several), at_most))
