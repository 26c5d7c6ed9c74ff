"""One mail transaction while it is being said: from MAIL to the end of the data, or RSET."""

from __future__ import annotations

from typing import Any

from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope

from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.queue.items import Notice
from relay.submission.framing import LITTLE


class Transaction(AiosmtpdEnvelope):
    """aiosmtpd's envelope, and beside it the parsed one that it grows into.

    `parameters` are the fields of mail.Envelope that MAIL's parameters gave; `hold_reason`,
    `rewritten_sender` (of the envelope), `rewritten_from`, `names_only_from` (and no other sender) and
    `notices` are what policy wants done with the message; `mismatches` are what became of senders that
    are not its user's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sender: Address | None = None
        self.recipients: list[Recipient] = []
        self._named: set[tuple[str | None, ...]] = set()  # the same, to be found at once
        self.parameters: dict[str, Any] = {}
        self.has_refused_recipients = False
        self.hold_reason: str | None = None
        self.rewritten_sender: Address | None = None
        self.rewritten_from: Address | None = None
        self.names_only_from = False
        self.notices: list[Notice] = []
        self.mismatches: list[str] = []
        self.chunks: list[bytes] = []  # what BDAT brought so far
        self.chunk_octets = 0
        self.chunk_refusal: Reply | None = None  # why the next chunk, and all after it, is refused
        self.is_last_chunk = False
        self.is_dot_stuffed = True
        self._envelope: Envelope | None = None

    def ask(self, **parameters: Any) -> None:
        """What is asked of the road, by the parameters of MAIL or by the header in their place."""
        self.parameters |= parameters
        self._envelope = None

    def add(self, recipient: Recipient) -> None:
        """One more is to get it, as far as the client is concerned."""
        self.recipients.append(recipient)
        self._named.add(_named(recipient))
        self._envelope = None

    def has(self, recipient: Recipient) -> bool:
        """Whether that one is to get it already, and the client asked for just the same."""
        return _named(recipient) in self._named

    def withdraw_last(self) -> None:
        """The recipient added last is refused."""
        self._named.remove(_named(self.recipients.pop()))
        self._envelope = None

    def keep(self, chunk: bytes) -> None:
        """One more chunk of the message has come; of little ones, some become one."""
        self.chunk_octets += len(chunk)
        if self.chunks and len(self.chunks[-1]) + len(chunk) <= LITTLE:
            self.chunks[-1] += chunk
        else:
            self.chunks.append(chunk)

    def as_envelope(self) -> Envelope:
        """The envelope as it stands."""
        assert self.sender is not None, "MAIL comes before whatever needs an envelope"
        if self._envelope is None:
            self._envelope = Envelope(self.sender, tuple(self.recipients), **self.parameters)
        return self._envelope


def _named(recipient: Recipient) -> tuple[str | None, ...]:
    """What makes it the same as another; of its address only the domain has no case (RFC 5321 §2.4)."""
    address = recipient.address
    return address.local, address.domain_key, recipient.notify, recipient.orcpt
