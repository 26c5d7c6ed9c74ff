"""What every kind of upstream looks like to the rest of the house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from relay.delivery.classify import Trouble
from relay.delivery.oauth.tokens import TokenSource
from relay.delivery.transports.parameters import Offers
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream


class Answers(NamedTuple):
    """What one offer of a message brought: exactly one last word for each recipient, by number.

    The words to those in `unheard` are our own: the upstream said nothing about them.  Of these, `unfit`
    are those whom this upstream cannot serve at all, and another may.  `trouble` is set if the connection
    is of no more use.  `is_untried` then says that nothing of the message was sent, so that it may be
    offered again at once; `perhaps_delivered`, that all of it was and the answer is missing, so that the
    upstream may have taken it (RFC 5321 §4.5.3.2.6, RFC 1047).
    """

    replies: Mapping[int, Reply]
    unheard: frozenset[int] = frozenset()
    trouble: Trouble | None = None
    is_untried: bool = False
    perhaps_delivered: bool = False
    unfit: frozenset[int] = frozenset()

    @property
    def is_taken(self) -> bool:
        """Whether the upstream took the message for anybody."""
        return any(reply.is_success for reply in self.replies.values())


class Connection(Protocol):
    """An open way to an upstream, for one message after the other."""

    remote: str
    tls: str | None
    keeps_content: bool
    offers: Offers

    @property
    def is_usable(self) -> bool:
        """Whether another message may be offered on it."""
        ...

    async def deliver(self, envelope: Envelope, content: bytes, priority: Priority) -> Answers:
        """Offer one message once; whatever the upstream does to its recipients is in the answers."""
        ...

    async def close(self) -> None:
        """Take leave, or hang up if it is too late for that."""
        ...


class Transport(Protocol):
    """How to reach one upstream; kept as long as the upstream's settings stay the same."""

    def __init__(self, upstream: Upstream, hostname: str, tokens: TokenSource) -> None: ...

    async def connect(self, destination: str = "") -> Connection:
        """Open a connection that is ready for its first message.

        *destination* is the domain that it is for, where the upstream leads to each domain's own servers.
        Raises Trouble; one that reaches no further than the message is that of its destination alone.
        """
        ...
