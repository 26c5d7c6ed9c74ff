"""What a user leaves behind when it is deleted: mail in the queue, a stop of it, routes that name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay.accounts.users import Account
from relay.cli.desk import Desk
from relay.cli.selecting import deliveries
from relay.queue.browse import counts
from relay.queue.selection import Selection
from relay.queue.stops import load_stops
from relay.routing.route_changes import all_rules


@dataclass(frozen=True, slots=True)
class Left:
    """What is left: so many deliveries, whether they are stopped, and the names of routes."""

    deliveries: int
    is_stopped: bool
    routes: Sequence[str]

    @property
    def sentences(self) -> Iterator[str]:
        """What becomes of each, for whoever still can change it."""
        if self.deliveries:
            what = f"{deliveries(self.deliveries)} of its mail"
            yield f"The queue still has {what}, which --user cannot find once the user is gone."
        if self.is_stopped:
            yield "Its mail is stopped: that ends with the user, and the mail moves."
        if self.routes:
            names = ", ".join(f'"{name}"' for name in self.routes)
            which = f"The routes {names} name" if len(self.routes) > 1 else f"The route {names} names"
            yield f"{which} it: edit or delete what is then for nobody."


def left_by(desk: Desk, account: Account) -> Left:
    """Look what *account* would leave; its own route is not counted, for it goes with it."""
    return Left(
        desk.read(counts, Selection(user_id=account.id)).all,
        account.id in desk.read(load_stops).users,
        [rule.name for rule in desk.read(all_rules) if account.id in rule.conditions.users],
    )
