"""The mailboxes of From, Sender and their like, read strictly (RFC 5322 §3.4, RFC 6532).

Policy decides on what stands here, and the recipient's mail program shows what *it* reads.  So a value
is either understood in the one way that every reader must understand it, or it is refused: groups,
routes, anything after the `>`, a second `<`, an `@` in a name without quotes, words encoded where they
may not be.  Comments and obsolete dots in names (§4.1: "John Q. Public") are understood, and an address
that stands for its own name (`a@b <a@b>`); obsolete white space around the dots of an address and empty list
members are not.

One pass over the value, never backwards: the time grows with its length alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from relay.mail.address import Address, BadAddress
from relay.mail.encoded import BadEncodedWord, decoded

MAX_OCTETS = 4096
MAX_COMMENT_DEPTH = 16

# The two forms that nearly all mail has, `a@b` and `Name <a@b>`, without anything that needs a closer look.
_PLAIN = re.compile(
    rb"[ \t]*+"
    rb"(?:(?:([A-Za-z0-9][\w .'&!+/-]*+)|\"([\w .,'&!+/:;@()-]*+)\"[ \t]*+)?(<))?"
    rb"([\w+=.-]++@[A-Za-z0-9.-]++)"
    rb"(?(3)>)[ \t]*+",
    re.ASCII,
)
_SPACE = re.compile(r"[ \t]++")
_WORD = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\U0010ffff]++|\.|\"[^\"\\]*+(?:\\.[^\"\\]*+)*\"")
_DOMAIN = re.compile(r"[A-Za-z0-9.\-\u00a0-\U0010ffff]++|\[[^\[\]\\]*+\]")
_IN_COMMENT = re.compile(r"[()]|\\.")
_ESCAPED = re.compile(r"\\(.)")
# Control characters; what some readers take for the end of a line; what turns round the text behind it.
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_ANGLED = re.compile(r"<[^<>@]*+@")
_ADDRESS_LIKE = re.compile(r"@[ \t]*+[^\s@<>,.]++[ \t]*+\.")
_SPECIALS = frozenset('@<>()[]:;,."\\ ')


class BadMailbox(ValueError):
    """The value is no mailbox that every reader would read alike; the message says why."""


class Mailbox(NamedTuple):
    """One mailbox: `name` as people are shown it, "" where there is none."""

    name: str
    address: Address


@lru_cache(maxsize=256)
def parse_senders(value: bytes) -> tuple[Mailbox, ...]:
    """Read the value of From: one mailbox or more (RFC 5322 §3.6.2).  Raises BadMailbox.

    Who sends, sends again: the last few are remembered.
    """
    return parse_mailbox_list(value)


def parse_mailbox(value: bytes) -> Mailbox:
    """Read a value that is exactly one mailbox, as that of Sender.  Raises BadMailbox."""
    mailbox, *others = parse_senders(value)
    if others:
        raise BadMailbox("it holds more than one address")
    return mailbox


def parse_mailbox_list(value: bytes, *, max_octets: int = MAX_OCTETS) -> tuple[Mailbox, ...]:
    """Read *value*, its folds already taken out, as one or more mailboxes.

    Raises BadMailbox if it is empty, longer than *max_octets*, or anything but that.
    """
    if len(value) > max_octets:
        raise BadMailbox(f"it is longer than {max_octets} octets")
    if plain := _PLAIN.fullmatch(value):
        name = b" ".join(plain[1].split()) if plain[1] else (plain[2] or b"").strip()
        return (Mailbox(name.decode("ascii"), _address(plain[4].decode("ascii"))),)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise BadMailbox("it is neither ASCII nor UTF-8") from None
    if _UNFIT.search(text):
        raise BadMailbox("it holds control characters")
    if not text.strip(" \t"):
        raise BadMailbox("it is empty")
    return _Reader(text).mailboxes()


class _Reader:
    """How far a value has been read, and the comments met in the mailbox at hand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.comments: list[str] = []

    @property
    def next(self) -> str:
        """The character that comes next; "" at the end."""
        return self.text[self.at : self.at + 1]

    def mailboxes(self) -> tuple[Mailbox, ...]:
        found = [self.mailbox()]
        while self.next == ",":
            self.at += 1
            found.append(self.mailbox())
        if self.next:
            raise BadMailbox("something follows the address")
        return tuple(found)

    def mailbox(self) -> Mailbox:
        """Read `Name <address>` or `address`, and the comments around it."""
        self.comments.clear()
        self.gap()
        before = len(self.comments)
        words = self.words()
        if self.next != "<":
            name, address = [], self.address(words, before)
            self.same_in_angles(address)
        elif words[:1] == ["."]:
            raise BadMailbox("its name begins with a dot")
        else:
            name, address = _pieces(words), self.angle_address()
        self.gap()
        return Mailbox(_shown(name, self.comments, address), address)

    def words(self) -> list[str]:
        """Read words and dots as they are written, with " " for whatever separates them."""
        words: list[str] = []
        while word := _WORD.match(self.text, self.at):
            self.at = word.end()
            words.append(word[0])
            if self.gap():
                words.append(" ")
        return words[:-1] if words[-1:] == [" "] else words

    def angle_address(self) -> Address:
        self.at += 1
        before = len(self.comments)
        self.gap()
        address = self.address(self.words(), before)
        self.gap()
        if self.next != ">":
            raise BadMailbox("more than an address stands in the angle brackets")
        _refuse_addresses_in(self.comments[before:])
        self.at += 1
        return address

    def same_in_angles(self, address: Address) -> None:
        """Read what careless programs write behind *address*: the same once more, in angle brackets."""
        self.gap()
        if self.next == "<" and self.angle_address().key != address.key:
            raise BadMailbox("its name is another address and is not in quotes")

    def address(self, local: list[str], before: int) -> Address:
        """Read the `@` and the domain that follow *local*.

        White space and comments may stand around the @ (§3.4.1), but comments with an address may
        not: *before* is how many there were ahead of *local*.
        """
        if self.next != "@" or not local or " " in local:
            raise BadMailbox(self.what_is_wrong(local))
        self.at += 1
        self.gap()
        domain = _DOMAIN.match(self.text, self.at)
        if domain is None:
            raise BadMailbox("no domain follows its @")
        self.at = domain.end()
        _refuse_addresses_in(self.comments[before:])
        return _address(f"{''.join(local)}@{domain[0]}")

    def what_is_wrong(self, words: list[str]) -> str:
        match self.next:
            case "@" if words:
                return "its name holds an @ and is not in quotes"
            case '"':
                return "a quoted string in it is not closed"
            case ")":
                return "a comment ends in it that never began"
            case ":" | ";":
                return "it is a group or a route, not an address"
            case ">" if not words:
                return "its address is empty"
            case "" | "," | ">":
                return "it has no address where one should be"
            case character:
                return f"it holds {character} in a place where it has no meaning"

    def gap(self) -> bool:
        """Skip white space and comments; say whether there were any."""
        start = self.at
        while True:
            if space := _SPACE.match(self.text, self.at):
                self.at = space.end()
            elif self.next == "(":
                self.comments.append(self.comment())
            else:
                return self.at > start

    def comment(self) -> str:
        """Read a comment with those inside it (§3.2.2)."""
        start, depth = self.at, 0
        for mark in _IN_COMMENT.finditer(self.text, start):
            if mark[0] == "(":
                depth += 1
            elif mark[0] == ")":
                depth -= 1
            if depth > MAX_COMMENT_DEPTH:
                raise BadMailbox("comments stand too deep inside each other")
            if depth == 0:
                self.at = mark.end()
                return _ESCAPED.sub(r"\1", self.text[start + 1 : mark.start()])
        raise BadMailbox("a comment in it is not closed")


def _pieces(words: list[str]) -> list[str]:
    """The name as it is meant, cut where quotes begin and end: no encoded word reaches across these."""
    pieces: list[str] = []
    for is_quoted, run in groupby(words, key=lambda word: word[0] == '"'):
        if is_quoted:
            pieces += [_ESCAPED.sub(r"\1", word[1:-1]) for word in run]
        else:
            pieces.append("".join(run))
    return pieces


def _address(text: str) -> Address:
    if "=?" in text:
        raise BadMailbox("its address is written as an encoded word")
    try:
        address = Address.parse(text)
    except BadAddress as fault:
        raise BadMailbox(str(fault)) from None
    local = address.local
    if local == '""':
        raise BadMailbox("there is nothing before the @ of its address")
    if not local.isascii() and _SPECIALS.intersection(unicodedata.normalize("NFKC", local)).difference(local):
        raise BadMailbox("its address holds a character that passes for one with a meaning")
    return address


def _refuse_addresses_in(comments: Iterable[str]) -> None:
    if any(mark in comment for comment in comments for mark in "@<>"):
        raise BadMailbox("a comment inside its address holds another address")


def _shown(name: list[str], comments: list[str], address: Address) -> str:
    """What people are shown beside the address: the name, or the comment that stands for one.

    Refuses what would read as another address once it is out of its quotes: a name with an address
    in angle brackets, and one that is hidden in encoded words.
    """
    shown = ""
    for pieces in (*([comment] for comment in reversed(comments)), name):
        try:
            plain = "".join(map(decoded, pieces))
            if len(pieces) > 1 and decoded("".join(pieces)) != plain:
                raise BadMailbox("its name becomes another where quotes begin and end within an encoded word")
        except BadEncodedWord as fault:
            raise BadMailbox(str(fault)) from None
        if _UNFIT.search(plain):
            raise BadMailbox("its name hides control characters in encoded words")
        if _ANGLED.search(plain):
            raise BadMailbox("its name holds another address in angle brackets")
        is_other = plain.strip().lower() != str(address).lower()
        if is_other and plain != "".join(pieces) and _ADDRESS_LIKE.search(plain):
            raise BadMailbox("its name hides another address in encoded words")
        shown = plain.strip() or shown
    return shown
