"""The short way from the door in to the door out, within one process.

While there is room, a message is accepted already leased to this process and goes to the worker
from memory: no claim, no reading back.  Losing the process loses nothing: the lease runs out.
"""

from collections.abc import Callable

from relay.budget import Budget
from relay.mail.priority import Priority
from relay.queue.items import Claimed

MAX_IN_HAND = 2000


class HandOver:
    """Counts what has been promised to the worker, and hands it over once it is committed.

    Submission calls `reserve` before the commit, then `put` after it, or `done` if it failed;
    the worker sets `taker` and `accepts`, and calls `done` when one has left its hands.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.in_hand = 0
        self.taker: Callable[[Claimed], None] | None = None
        self.accepts: Callable[[str, Priority], bool] = lambda _route_id, _priority: True

    def reserve(self, route_id: str, octets: int, priority: Priority = Priority.NORMAL) -> bool:
        """Whether a delivery of this route may come the short way; if so, its place is kept.

        *octets*: as many as it brings along.  For the highest *priority* there is more room.
        """
        most = 2 * MAX_IN_HAND if priority is Priority.VERY_HIGH else MAX_IN_HAND
        if self.taker is None or self.in_hand >= most or not self.accepts(route_id, priority):
            return False
        if not self.budget.take(octets):
            return False
        self.in_hand += 1
        return True

    def put(self, claimed: Claimed) -> None:
        """Hand over what is committed."""
        if self.taker is None:
            # Nobody delivers in this process any more; the lease will run out, or be taken back.
            self.done(claimed)
            return
        self.taker(claimed)

    def done(self, claimed: Claimed) -> None:
        """A place is free again: the delivery is settled, released, or was never committed."""
        self.in_hand -= 1
        self.budget.give_back(len(claimed.content or b""))
