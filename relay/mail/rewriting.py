"""How the mail of one user, or to one upstream, is changed before it is sent; all else stays byte for byte.

First the user's rule is followed, then the upstream's: so what an upstream forces is what it gets, and
its texts stand around the user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from relay.mail.address import Address
from relay.mail.encoded import encoded_words
from relay.mail.header import BadHeader, Header, scan, with_fields
from relay.mail.letterhead import LeftAlone, Texts, fit_texts, with_texts
from relay.mail.mailbox import BadMailbox, Mailbox, parse_senders

MOST_NAME_LETTERS = 200
_NO_TEXTS = Texts()
_SIGNED = frozenset({"dkim-signature", "domainkey-signature", "arc-message-signature"})
_OTHER_SENDERS = ("sender", "resent-from", "resent-sender")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*")


class BadRewrite(ValueError):
    """Mail cannot be changed so; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What becomes of a message.

    `from_name` is given to a From that has no name; `from_address` takes the place of a From that names
    anybody at another domain; with `is_forced` both take the place of whatever stood there.  The From that
    gives way becomes Reply-To, unless there is one.  Then `reply_to` takes the place of any Reply-To; with
    `answers_to_from` there is none.  `texts` stand above and below what users wrote.
    """

    from_name: str = ""
    from_address: Address | None = None
    is_forced: bool = False
    reply_to: Address | None = None
    answers_to_from: bool = False
    texts: Texts = field(default=_NO_TEXTS)

    def __bool__(self) -> bool:
        return self is not NO_REWRITE and self != NO_REWRITE

    @property
    def changes_header(self) -> bool:
        """Whether anything of the header may change."""
        return bool(self.from_name or self.from_address or self.reply_to or self.answers_to_from)


NO_REWRITE = Rewrite()


class Rewritten(NamedTuple):
    """A message as it is to be sent; `left_alone` says what was not done, and why.

    `needs_smtputf8`: its header was ASCII, and is no more (RFC 6531).
    """

    content: bytes
    left_alone: str | None = None
    needs_smtputf8: bool = False


def checked(rewrite: Rewrite) -> Rewrite:
    """Return *rewrite*.  Raises BadRewrite if it cannot be so."""
    name, texts = rewrite.from_name, rewrite.texts
    if len(name) > MOST_NAME_LETTERS or not name.isprintable():
        raise BadRewrite(f"A sender's name has up to {MOST_NAME_LETTERS} letters, and no control characters.")
    if rewrite.is_forced and not name and rewrite.from_address is None:
        raise BadRewrite("To force the sender, a name or an address to force is missing.")
    if rewrite.reply_to is not None and rewrite.answers_to_from:
        raise BadRewrite("Answers go to one address, or to From: not both.")
    if not fit_texts([texts.header, texts.footer, texts.header_html, texts.footer_html]):
        raise BadRewrite(
            "A header or footer has up to 16 KiB, lines of up to 900 octets, and no control characters."
        )
    return rewrite


def rewritten(content: bytes, rules: Sequence[Rewrite], *, with_letterhead: bool = True) -> Rewritten:
    """Return *content*, its line ends CRLF, as the *rules* say, one after the other.

    *with_letterhead*: the texts as well, and not only what concerns the header.
    """
    left_alone, needs_smtputf8 = None, False
    if any(rule.changes_header for rule in rules):
        try:
            content, left_alone, needs_smtputf8 = _with_header(content, rules)
        except BadHeader as fault:
            return Rewritten(content, f"sender: {fault}")
    texts = _NO_TEXTS
    for rule in rules:
        texts = rule.texts.around(texts)
    if texts and with_letterhead:
        try:
            content = with_texts(content, texts)
        except LeftAlone as reason:
            left_alone = "; ".join(filter(None, (left_alone, f"header and footer: {reason}")))
    return Rewritten(content, left_alone, needs_smtputf8)


def _with_header(content: bytes, rules: Sequence[Rewrite]) -> Rewritten:
    header = scan(content)
    is_signed = not _SIGNED.isdisjoint(header.by_name)
    original = authors = _authors(header)
    reply_to: bytes | None = None  # what becomes of it; None: it stays
    left_alone: str | None = None
    for rule in rules:
        wished = _authors_by(rule, authors)
        if wished != authors and is_signed and not rule.is_forced:
            left_alone = "sender: a DKIM signature covers it"
        else:
            authors = wished
        if rule.reply_to is not None:
            reply_to = f"Reply-To: {rule.reply_to.plainest}\r\n".encode()
        elif rule.answers_to_from:
            reply_to = b""
    changes: dict[str, bytes] = {}
    if authors != original:
        (sender,) = authors
        changes["from"] = mailbox_field("From", sender)
        if [sender.address.key] != [author.address.key for author in original]:
            changes |= {name: b"" for name in _OTHER_SENDERS if name in header.by_name}
            if reply_to is None and "reply-to" not in header.by_name:
                reply_to = _as_reply_to(header)
    if reply_to is not None and (reply_to or "reply-to" in header.by_name):
        changes["reply-to"] = reply_to
    if not changes:
        return Rewritten(content, left_alone)
    needs_smtputf8 = content[: header.end].isascii() and not b"".join(changes.values()).isascii()
    return Rewritten(with_fields(content, header, changes), left_alone, needs_smtputf8)


def _authors(header: Header) -> tuple[Mailbox, ...]:
    """The mailboxes of From; none if they cannot be read."""
    found = header.all("from")
    if len(found) != 1:
        return ()
    try:
        return parse_senders(found[0].value)
    except BadMailbox:
        return ()


def _authors_by(rule: Rewrite, authors: tuple[Mailbox, ...]) -> tuple[Mailbox, ...]:
    """Who sends it by *rule*, where it was *authors* so far; several stay, or give way as a whole."""
    wanted, only = rule.from_address, authors[0] if len(authors) == 1 else None
    name, address = only or ("", None)
    domains = {author.address.domain_key for author in authors}
    if wanted and (rule.is_forced or domains != {wanted.domain_key}):
        address = wanted
    if rule.from_name and (rule.is_forced or not name):
        name = rule.from_name
    if address is None or (only and (name, address.key) == (only.name, only.address.key)):
        return authors
    return (Mailbox(name, address),)


def _as_reply_to(header: Header) -> bytes:
    first = header.first("from")
    return b"" if first is None else b"Reply-To:" + first.raw + b"\r\n"


def mailbox_field(name: str, mailbox: Mailbox) -> bytes:
    """Write a field of one mailbox, its name in quotes or encoded words where it needs them (RFC 2047)."""
    if not mailbox.name:
        return f"{name}: {mailbox.address.plainest}\r\n".encode()
    if not mailbox.name.isascii():
        shown = "\r\n ".join(encoded_words(mailbox.name))
    elif _ATOMS.fullmatch(mailbox.name) and "=?" not in mailbox.name:
        shown = mailbox.name
    else:
        shown = '"' + mailbox.name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name}: {shown}\r\n <{mailbox.address.plainest}>\r\n".encode()


# --- as it is kept ---------------------------------------------------------------------------------


def to_members(rewrite: Rewrite) -> dict[str, Any]:
    """What is set of it, as plain values."""
    members = {f.name: getattr(rewrite, f.name) for f in fields(Rewrite) if f.name != "texts"}
    members |= {f.name: getattr(rewrite.texts, f.name) for f in fields(Texts)}
    return {
        name: str(value) if isinstance(value, Address) else value for name, value in members.items() if value
    }


def to_text(rewrite: Rewrite) -> str:
    """Write it as JSON, only what is set."""
    return json.dumps(to_members(rewrite))


def from_text(text: str) -> Rewrite:
    """Read what `to_text` wrote; members that this version does not know say nothing."""
    if text == "{}":
        return NO_REWRITE
    members = json.loads(text)
    return Rewrite(
        from_name=members.get("from_name", ""),
        from_address=_address(members.get("from_address")),
        is_forced=members.get("is_forced", False),
        reply_to=_address(members.get("reply_to")),
        answers_to_from=members.get("answers_to_from", False),
        texts=Texts(**{f.name: members[f.name] for f in fields(Texts) if f.name in members}),
    )


def _address(text: str | None) -> Address | None:
    return None if text is None else Address.parse(text)
