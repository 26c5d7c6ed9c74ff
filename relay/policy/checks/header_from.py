"""The senders in the letter's head: the ones that people are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from relay.mail.address import Address
from relay.mail.header import Header
from relay.mail.mailbox import BadMailbox, Mailbox, parse_mailbox, parse_senders
from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Omit, Reject, Rewrite
from relay.policy.mismatch import on_mismatch
from relay.policy.submission import Submission

NO_FROM = Reply(550, "7.1", "The message has no From field")
TWO_FIELDS = Reply(550, "7.1", "The message has more than one {field} field")
NOT_UNDERSTOOD = Reply(550, "7.1", "The {field} field cannot be accepted: {why}")

_RULE = "header_from_is_granted"


def _one(value: bytes) -> Sequence[Mailbox]:
    return (parse_mailbox(value),)


_READ: Mapping[str, Callable[[bytes], Sequence[Mailbox]]] = {
    "from": parse_senders,
    "sender": _one,
    "resent-from": parse_senders,
    "resent-sender": _one,
}


def header_from_is_granted(submission: Submission) -> Decision:
    """Every sender that the header names must be one that the user was granted.

    There must be exactly one From field, and at most one Sender; Resent-From and Resent-Sender may come
    once for each time a message was resent (RFC 5322 §3.6.6).  Reply-To is free.  What is not wholly
    understood is refused whatever the account says about foreign senders: nobody knows whose it is.
    """
    named = _named(submission.header)
    if isinstance(named, Reply):
        return Reject(named, _RULE)
    allow = submission.user.grants.allow
    foreign = [sender for senders in named.values() for sender in senders if not allow(sender)]
    if not foreign:
        return ACCEPT
    decision = on_mismatch(submission, foreign, _RULE)
    if isinstance(decision, Rewrite) and all(map(allow, named["from"])):  # From itself need not give way
        return Omit(decision.notices)
    return decision


def _named(header: Header | None) -> dict[str, list[Address]] | Reply:
    """All that the header names as senders, by field, From first; or why it cannot be said."""
    if header is None or "from" not in header.by_name:
        return NO_FROM
    named: dict[str, list[Address]] = {}
    for name, read in _READ.items():
        if name not in header.by_name:
            continue
        fields = header.by_name[name]
        if len(fields) > 1 and not name.startswith("resent"):
            return TWO_FIELDS.saying(TWO_FIELDS.text.format(field=name.title()))
        try:
            named[name] = [mailbox.address for field in fields for mailbox in read(field.value)]
        except BadMailbox as fault:
            return NOT_UNDERSTOOD.saying(NOT_UNDERSTOOD.text.format(field=name.title(), why=fault))
    return named
