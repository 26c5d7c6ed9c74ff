"""How a delivery goes from state to state, and what that promises.

    accept ──► QUEUED ◄──────── promote ─────── WAITING        not before due_at
       │         │  ▲                              ▲
       │       claim │ release, lease ran out      │ deferred, or scheduled
       │         ▼  │                              │
       └─────► LEASED ─────────── settle ──────────┤
      hot hand-over                                └─► DONE    every recipient has its end

    QUEUED, WAITING ◄── hold / release ──► HELD;  cancel, fail, expire ──► DONE

Law 4: a lease may run out while its holder is still at work (frozen, cut off from the database),
and then somebody else takes the delivery.  So a message may be delivered twice, but never lost;
the operator's manual says so (docs/operations.md).
"""

from relay.mail.disposition import Disposition
from relay.mail.states import DeliveryState, RecipientState

__all__ = ["ACTIVE", "END_OF", "RESTING", "DeliveryState", "RecipientState"]

# A message whose deliveries are in none of these is finished, and its content may go.
ACTIVE = (DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.LEASED, DeliveryState.HELD)

# Those that no process has in its hands.
RESTING = (DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.HELD)

END_OF = {
    Disposition.DELIVERED: RecipientState.DELIVERED,
    Disposition.FAILED: RecipientState.FAILED,
}
