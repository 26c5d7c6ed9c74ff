"""What the product wants to know of a message's header, besides what policy checks."""

from __future__ import annotations

from dataclasses import dataclass

from relay.mail import priority
from relay.mail.header import Header
from relay.mail.priority import Priority

_TAGS = ("x-relay-tag", "x-mailgun-tag", "x-pm-tag")
_WANTED = frozenset({"subject", "from", "message-id", "date", *_TAGS, *priority.FIELDS})


@dataclass(frozen=True, slots=True)
class Facts:
    """The header in a few words, each at most as long as its column."""

    subject: str | None
    header_from: str | None
    message_id: str | None
    tag: str | None
    priorities: tuple[Priority, ...]


def facts_of(header: Header) -> Facts:
    """Read what the queue's pages and the priority need; of a field that is there twice, the first."""
    found = {name: fields[0].text for name, fields in header.by_name.items() if name in _WANTED}
    named = (priority.from_field(name, found[name]) for name in found if name in priority.FIELDS)
    return Facts(
        subject=_cut(found.get("subject"), 255),
        header_from=_cut(found.get("from"), 320),
        message_id=_cut(found.get("message-id"), 255),
        tag=_cut(next((found[name] for name in _TAGS if name in found), None), 128),
        priorities=tuple(level for level in named if level is not None),
    )


def _cut(text: str | None, length: int) -> str | None:
    return None if text is None else text.replace("\0", "")[:length]
