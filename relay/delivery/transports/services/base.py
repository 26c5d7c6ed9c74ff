"""What every service over HTTP has in common, and the values that are passed to and fro; no I/O."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from relay.delivery.transports.parameters import Offers
from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream

_NO_REPORTS = Reply(550, "6.3", "This service cannot send a message without a sender, as reports are")


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request's worth of a message: what it says, and which of the envelope's recipients it is for.

    Who can be refused without asking is not in the envelope any more.
    """

    upstream: Upstream
    envelope: Envelope
    recipients: tuple[Recipient, ...]
    content: bytes
    priority: Priority
    now: datetime
    token: str | None = field(default=None, repr=False)

    @property
    def secret(self) -> str:
        """The key or password of the upstream; "" if it has none.  Raises CannotUnseal."""
        return self.upstream.password.reveal() if self.upstream.password else ""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask, and where."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = b""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Mapping[str, Any]:
        """The body as a JSON object; empty if it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def asked_to_wait(self, now: datetime) -> timedelta | None:
        """How long we are to stay away: Retry-After, in seconds or as a date (RFC 9110 §10.2.3)."""
        told = self.headers.get("retry-after", "").strip()
        try:
            pause = timedelta(seconds=int(told)) if told.isdecimal() else parsedate_to_datetime(told) - now
        except (ValueError, TypeError, OverflowError):
            return None
        return max(pause, timedelta(0))


class Unfit(Exception):
    """The service cannot carry the message without loss, to none of its recipients; *reply* says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Service(ABC):
    """What a provider's interface wants and says; each provider changes what is different with it.

    `is_verbatim`: what it is given is what it sends, so that a signature of ours outlasts it.
    """

    most_recipients = 100
    most_octets = 25 * 1024 * 1024
    is_verbatim = True

    @abstractmethod
    def request(self, parcel: Parcel) -> Request:
        """Write the request that sends *parcel*.  Raises Unfit, CannotUnseal.

        May take as long as encoding a large message does, so that it is called in a thread.
        """

    def probe(self, upstream: Upstream, now: datetime, token: str | None) -> Request | None:  # noqa: ARG002
        """Write a request that changes nothing and shows whether we are known; None: there is none."""
        return None

    def knows_us(self, response: Response) -> bool:
        """Whether the answer to a probe shows that we are known."""
        return 200 <= self.meant(response) < 300

    def offers(self, response: Response | None = None) -> Offers:  # noqa: ARG002
        """What it does with a message beyond sending it, as far as its last answer tells."""
        return Offers(
            eight_bit=True,
            smtputf8=self.is_verbatim,
            size=self.most_octets,
            is_verbatim=self.is_verbatim,
        )

    def pause(self, response: Response, now: datetime) -> timedelta | None:
        """How long the answer asks us to stay away; None: it does not say."""
        return response.asked_to_wait(now)

    def meant(self, response: Response) -> int:
        """The status that the answer would have if every provider used them alike."""
        return response.status

    def words(self, response: Response) -> str:
        """What the service says in the answer, in its own words."""
        document = response.document
        said = document.get("error", document)
        said = said.get("message") if isinstance(said, dict) else said
        return str(said) if said else response.body.decode("utf-8", "replace")

    def each(self, parcel: Parcel, response: Response) -> Mapping[int, Reply]:
        """The last word to each recipient, by number, of an answer that says it was taken."""
        reply = Reply(250, "0.0", f"Taken by {parcel.upstream.kind.value}{_of(self.told_id(response))}")
        return {recipient.number: reply for recipient in parcel.recipients}

    def told_id(self, response: Response) -> str:
        """The name that the service gave the message; "" if it gave none."""
        return str(response.document.get("id") or "")


def refuse_reports(parcel: Parcel) -> None:
    """Raise Unfit for what has no sender."""
    if parcel.envelope.sender == Address.NULL:
        raise Unfit(_NO_REPORTS)


def bearer(token: str | None) -> Mapping[str, str]:
    """The header that shows *token*, if there is one (RFC 6750 §2.1)."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _of(name: str) -> str:
    return f" as {name[:200]}" if name.isprintable() and name else ""
