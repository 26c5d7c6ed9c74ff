"""Whom a notice is for, and what each of them is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from relay.ids import moment_of
from relay.mail.address import Address
from relay.mail.dates import date_text
from relay.notify import archive, attack, consent, mismatch, quota, templates
from relay.queue import metered
from relay.queue.items import Notice


class Announcement(NamedTuple):
    """One letter to write."""

    to: Address
    subject: str
    text: str


def announcements(
    notice: Notice, *, contact: Address | None, operator: Address | None, hostname: str
) -> list[Announcement]:
    """Return what is to be written about *notice*, to the user's *contact* and to the *operator*.

    Nothing where neither has an address, or nobody knows the kind of notice any more; one letter where
    both are the same.
    """
    kind = _KINDS.get(notice.kind)
    if kind is None:
        return []
    tell, to_user, to_operator = kind
    wanted = ((contact, to_user), (operator, to_operator))
    readers = {to.key: (to, words) for to, words in wanted if to is not None}  # the operator's words win
    return [tell(notice, to, words, hostname) for to, words in readers.values()]


def _sender_mismatch(notice: Notice, to: Address, words: str, hostname: str) -> Announcement:
    facts = {name: _printable(fact) for name, fact in notice.facts.items()}
    text = templates.SENDER_MISMATCH.format(
        **facts,
        hostname=hostname,
        when=date_text(moment_of(notice.id)),
        consequence=templates.MISMATCH_OUTCOMES[facts["outcome"]],
        advice=words.format(**facts),
    )
    return Announcement(to, templates.SENDER_MISMATCH_SUBJECT.format(**facts), text)


def _account_attacked(notice: Notice, to: Address, words: str, hostname: str) -> Announcement:
    facts = {name: _printable(fact) for name, fact in notice.facts.items()}
    text = templates.ACCOUNT_ATTACKED.format(
        **facts, hostname=hostname, when=date_text(moment_of(notice.id)), advice=words.format(**facts)
    )
    return Announcement(to, templates.ACCOUNT_ATTACKED_SUBJECT.format(**facts), text)


def _quota(notice: Notice, to: Address, _words: str, hostname: str) -> Announcement:
    facts = {name: _printable(fact) for name, fact in notice.facts.items()}
    when = date_text(moment_of(notice.id))
    return Announcement(to, *quota.subject_and_text(facts, hostname=hostname, when=when))


def _upstream_token(notice: Notice, to: Address, _words: str, hostname: str) -> Announcement:
    facts = {name: _printable(fact) for name, fact in notice.facts.items()}
    text = templates.CONSENT_ENDED.format(**facts, hostname=hostname, when=date_text(moment_of(notice.id)))
    return Announcement(to, templates.CONSENT_ENDED_SUBJECT.format(**facts), text)


def _archive_failed(notice: Notice, to: Address, _words: str, hostname: str) -> Announcement:
    facts = {name: _printable(fact) for name, fact in notice.facts.items()}
    text = templates.ARCHIVE_FAILED.format(**facts, hostname=hostname, when=date_text(moment_of(notice.id)))
    return Announcement(to, templates.ARCHIVE_FAILED_SUBJECT.format(**facts), text)


def _printable(fact: str) -> str:
    """What a client made up must not move anything in the letter."""
    return "".join(c if c.isprintable() else "?" for c in fact)


_Teller = Callable[[Notice, Address, str, str], Announcement]

# How a kind of notice is told, and the words for the user and for the operator
_KINDS: Mapping[str, tuple[_Teller, str, str]] = {
    mismatch.KIND: (_sender_mismatch, templates.TO_USER, templates.TO_OPERATOR),
    metered.KIND: (_quota, "", ""),
    archive.KIND: (_archive_failed, "", ""),
    consent.KIND: (_upstream_token, "", ""),
    attack.KIND: (_account_attacked, templates.ATTACKED_TO_USER, templates.ATTACKED_TO_OPERATOR),
}
