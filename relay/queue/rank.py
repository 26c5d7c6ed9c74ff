"""Who goes first: a head start, not a wall.

Deliveries go in the order of `rank_at`, one indexed moment: when it is due, less the head start of
its priority.  Level 1's is longer than anything waits, so it always goes first; the others' are
minutes, so that an old message of low priority overtakes a new one of higher in the end, and
nothing starves.
"""

from datetime import datetime, timedelta

from relay.mail.priority import Priority
from relay.settings import Settings

ALWAYS_FIRST = timedelta(days=3650)


def rank_at(due_at: datetime, priority: Priority, settings: Settings) -> datetime:
    """The place of a delivery of this *priority* that is due at *due_at*: the earlier, the sooner."""
    return due_at - head_start(priority, settings)


def head_start(priority: Priority, settings: Settings) -> timedelta:
    """By how much *priority* goes before the lowest."""
    match priority:
        case Priority.VERY_HIGH:
            return ALWAYS_FIRST
        case Priority.HIGH:
            return settings.head_start_high
        case Priority.NORMAL:
            return settings.head_start_normal
        case Priority.LOW:
            return settings.head_start_low
        case Priority.VERY_LOW:
            return timedelta(0)
