"""Services that want a message taken apart into the members of a JSON document, and make their own of it.

Only a message that says the same afterwards is sent (`relay.mail.pieces`); any other is refused with
what it is that does not fit.  Each provider's file says what else does not fit with it.
"""

from __future__ import annotations

import base64
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from relay.delivery.transports.services.addressed import unnamed
from relay.delivery.transports.services.base import Parcel, Request, Service, Unfit, refuse_reports
from relay.mail.address import Address
from relay.mail.bodies import DoesNotFit
from relay.mail.mailbox import Mailbox
from relay.mail.pieces import Pieces, take_apart
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream

_SPECIALS = frozenset('()<>[]:;@\\,."')
_TO_ESCAPE = str.maketrans({'"': '\\"', "\\": "\\\\"})


class Taken(NamedTuple):
    """A message in pieces, and those of its recipients whom it does not name."""

    pieces: Pieces
    bcc: tuple[Mailbox, ...]


class JsonService(Service):
    """What these services have in common.

    `title` is the provider's name for people, `path` where messages are posted to, `probe_path` where
    something can be asked that changes nothing.
    """

    is_verbatim = False
    title: ClassVar[str]
    path: ClassVar[str]
    probe_path: ClassVar[str]

    def request(self, parcel: Parcel) -> Request:
        """The document that says what the message says."""
        refuse_reports(parcel)
        try:
            document = self.document(_taken_apart(parcel))
        except DoesNotFit as why:
            raise Unfit(
                Reply(
                    554,
                    "6.3",
                    f"{self.title} wants the message taken apart, and it does not fit: {why}. "
                    "It needs an upstream of another kind",
                )
            ) from None
        headers = {"Content-Type": "application/json", **self.login(parcel.secret), **self.marks(parcel)}
        content = json.dumps(document, ensure_ascii=False).encode()
        return Request(parcel.upstream.options.url + self.path, _ACCEPT | headers, content)

    def probe(self, upstream: Upstream, now: datetime, token: str | None) -> Request:  # noqa: ARG002
        """Ask what changes nothing."""
        secret = upstream.password.reveal() if upstream.password else ""
        return Request(
            upstream.options.url + self.probe_path, {**_ACCEPT, **self.login(secret)}, method="GET"
        )

    @abstractmethod
    def document(self, taken: Taken) -> Mapping[str, Any]:
        """The message as the provider wants it.  Raises DoesNotFit."""

    @abstractmethod
    def login(self, key: str) -> Mapping[str, str]:
        """The header that shows the key."""

    def marks(self, parcel: Parcel) -> Mapping[str, str]:  # noqa: ARG002
        """What else the header of the request says of the message."""
        return {}


_ACCEPT = {"Accept": "application/json"}


def _taken_apart(parcel: Parcel) -> Taken:
    """Raises DoesNotFit, and Unfit where it would go to somebody else."""
    pieces = take_apart(parcel.content)
    named = [*pieces.to, *pieces.cc]
    if len({mailbox.address.key for mailbox in named}) < len(named):
        raise DoesNotFit("To and Cc name somebody twice")
    if not all(file.octets for file in pieces.files):
        raise DoesNotFit("one of its files is empty")
    return Taken(pieces, tuple(Mailbox("", address) for address in unnamed(parcel, named)))


def present(**members: Any) -> dict[str, Any]:
    """The members that say something."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {}, ())}


def ascii_address(address: Address) -> str:
    """An address whose local part is ASCII, its domain in the form that everybody understands."""
    return f"{address.local}@{address.domain_key}"


def has_specials(name: str) -> bool:
    """Whether *name* must stand in quotes (RFC 5322 §3.2.3)."""
    return not _SPECIALS.isdisjoint(name)


def quoted(name: str) -> str:
    """*name* in quotes, where it needs them."""
    return f'"{name.translate(_TO_ESCAPE)}"' if has_specials(name) else name


def written(mailbox: Mailbox) -> str:
    """As it stands in a header, but for what is not ASCII."""
    address = ascii_address(mailbox.address)
    return f"{quoted(mailbox.name)} <{address}>" if mailbox.name else address


def in_base64(octets: bytes) -> str:
    """As JSON can hold it."""
    return base64.b64encode(octets).decode("ascii")


def by_name(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """*fields* as an object, which has each name once.  Raises DoesNotFit."""
    found = dict(fields)
    if len(found) < len(fields):
        twice = next(name for name, _ in fields if [each for each, _ in fields].count(name) > 1)
        raise DoesNotFit(f"the field {twice} is there twice")
    return found


def refuse_fields(fields: Sequence[tuple[str, str]], prefixes: tuple[str, ...]) -> None:
    """Raise DoesNotFit for fields that mean something to the provider itself."""
    for name, _ in fields:
        if name.startswith(prefixes):
            raise DoesNotFit(f"the field {name} is the provider's own")


def require_to_and_subject(pieces: Pieces) -> None:
    """Raise DoesNotFit where one is missing: nearly all providers insist on both."""
    if not pieces.to:
        raise DoesNotFit("To names nobody")
    if not pieces.subject:
        raise DoesNotFit("it has no Subject")
