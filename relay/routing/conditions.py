"""Which messages a route is for: everything that is asked must hold, and what is not asked holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.policy.grants import Grants


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a route asks of a message: one of the `users` (ids), one of the `tags`, and so on.

    `senders` and `recipients` are patterns as in a user's grants: address, domain, *.domain.  `least`
    and `most` are octets of the message, both included.
    """

    users: frozenset[str] = frozenset()
    senders: Grants | None = None
    recipients: Grants | None = None
    tags: frozenset[str] = frozenset()  # in lower case
    priorities: frozenset[Priority] = frozenset()
    least: int | None = None
    most: int | None = None

    def fit(self, sender: Address, *, tag: str | None, priority: Priority, octets: int) -> bool:
        """Whether the message fits, whoever it is to and whoever sends it."""
        return (
            (not self.priorities or priority in self.priorities)
            and (not self.tags or (tag is not None and tag.lower() in self.tags))
            and (self.least is None or octets >= self.least)
            and (self.most is None or octets <= self.most)
            and (self.senders is None or (sender is not Address.NULL and self.senders.allow(sender)))
        )

    def fit_recipient(self, recipient: Address) -> bool:
        """Whether the message may go by this route to that recipient."""
        return self.recipients is None or self.recipients.allow(recipient)


ANYTHING = Conditions()


def to_members(conditions: Conditions) -> dict[str, Any]:
    """Return *conditions* as the members of a JSON object, only what is asked."""
    members: dict[str, Any] = {
        "users": sorted(conditions.users),
        "senders": list(conditions.senders.patterns) if conditions.senders else None,
        "recipients": list(conditions.recipients.patterns) if conditions.recipients else None,
        "tags": sorted(conditions.tags),
        "priorities": sorted(int(priority) for priority in conditions.priorities),
        "least": conditions.least,
        "most": conditions.most,
    }
    return {name: value for name, value in members.items() if value not in (None, [])}


def from_members(members: Mapping[str, Any]) -> Conditions:
    """Read what `to_members` returned."""
    if not members:
        return ANYTHING
    return Conditions(
        users=frozenset(members.get("users", ())),
        senders=Grants(tuple(members["senders"])) if "senders" in members else None,
        recipients=Grants(tuple(members["recipients"])) if "recipients" in members else None,
        tags=frozenset(members.get("tags", ())),
        priorities=frozenset(map(Priority, members.get("priorities", ()))),
        least=members.get("least"),
        most=members.get("most"),
    )
