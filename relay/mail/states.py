"""Where mail stands: the states of a delivery and of a recipient, stored as their text.

How one follows the other is the queue's business: see `relay.queue.states`.
"""

from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery, the unit of the queue, stands."""

    QUEUED = "queued"  # due: whoever has room may take it
    WAITING = "waiting"  # not before due_at: scheduled, or deferred after an attempt
    LEASED = "leased"  # a process has it, until leased_until
    HELD = "held"  # an operator, or policy, stopped it
    DONE = "done"  # every recipient of it has its end


class RecipientState(StrEnum):
    """Where a recipient stands: open, or the one end that it came to."""

    OPEN = "open"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
