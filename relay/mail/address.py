"""A mailbox: parsed strictly from SMTP paths, compared by what it means rather than how it is written."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar

import idna

MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MAX_DOMAIN_OCTETS = 255  # RFC 5321 §4.5.3.1.2
MAX_LABEL_OCTETS = 63  # RFC 1035 §2.3.4
MAX_ADDRESS_OCTETS = 254  # RFC 5321 §4.5.3.1.3: a path of 256, less its brackets

_BEYOND_ASCII = r"\u0080-\ud7ff\ue000-\U0010ffff"
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_BEYOND_ASCII}]"
_LOCAL = re.compile(rf'(?:{_ATEXT}++(?:\.{_ATEXT}++)*|"(?:[ !#-\[\]-~{_BEYOND_ASCII}]|\\[ -~])*")')
_LETTER = rf"[A-Za-z0-9{_BEYOND_ASCII}]"
_LABEL = rf"{_LETTER}++(?:-++{_LETTER}++)*"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LITERAL = re.compile(r"\[(?:IPv6:([0-9A-Fa-f:.]++)|([0-9.]++))\]", re.IGNORECASE)
_JOINERS = str.maketrans("", "", "\u200c\u200d")
_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'(["\\])')
_WITH_BACKSLASH = r"\\\1"
_SOURCE_ROUTE = re.compile(rf"@{_LABEL}(?:\.{_LABEL})*(?:,@{_LABEL}(?:\.{_LABEL})*)*:")


class BadAddress(ValueError):
    """The text is no mailbox; the message says why, in words for whoever wrote it."""


@dataclass(frozen=True)
class Address:
    """A mailbox as it was written; `key` is what it is compared by.

    The local part keeps its case and its quotes (RFC 5321 §2.4), the domain its spelling.  What follows
    from these is found once: of the same spelling there is mostly only one (see `_parse`).
    """

    local: str
    domain: str

    NULL: ClassVar[Address]  # the null reverse-path, "<>" (RFC 5321 §4.5.5)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `local@domain`, without brackets.

        Raises BadAddress for anything that the grammar of RFC 5321 §4.1.2 (with RFC 6531 §3.3)
        does not wholly accept.
        """
        return _parse(text)

    @classmethod
    def parse_path(cls, path: str) -> Address:
        """Read what stands between the brackets of MAIL or RCPT; "" is the null address.

        A source route is understood and dropped, as RFC 5321 §3.6.1 and appendix C ask.
        """
        if not path:
            return cls.NULL
        if path[0] == "@" and (route := _SOURCE_ROUTE.match(path)):
            path = path[route.end() :]
        return _parse(path)

    @cached_property
    def key(self) -> str:
        """The form to compare by: case folded, Unicode composed, the domain in its ASCII form."""
        return f"{fold_local(self.local)}@{self.domain_key}" if self.domain else ""

    @cached_property
    def domain_key(self) -> str:
        """The domain to compare by: A-labels in lower case (RFC 5890 §2.3.2.1)."""
        return fold_domain(self.domain)

    @cached_property
    def is_ascii(self) -> bool:
        """Whether an upstream without SMTPUTF8 can be told this address as it stands."""
        return self.local.isascii() and self.domain.isascii()

    @cached_property
    def plainest(self) -> str:
        """In ASCII if that is possible: a domain has such a form, a local part has none."""
        return str(self) if self.is_ascii or not self.local.isascii() else f"{self.local}@{self.domain_key}"

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else ""


Address.NULL = Address("", "")


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address:
    local = _LOCAL.match(text)
    if local is None or text[local.end() : local.end() + 1] != "@":
        raise BadAddress("an address is written local-part@domain")
    domain = text[local.end() + 1 :]
    if not (text.isprintable() or (local[0] + without_joiners(domain)).isprintable()):
        raise BadAddress("an address holds no control characters")
    # One character is at least one octet; what is far too long is not worth a closer look.
    if len(text) > MAX_ADDRESS_OCTETS or len(text.encode()) > MAX_ADDRESS_OCTETS:
        raise BadAddress(f"the address is longer than {MAX_ADDRESS_OCTETS} octets")
    if len(local[0].encode()) > MAX_LOCAL_OCTETS:
        raise BadAddress(f"the part before the @ is longer than {MAX_LOCAL_OCTETS} octets")
    if domain.startswith("["):
        _check_literal(domain)
    else:
        _check_domain(domain)
    return Address(local[0], domain)


def _check_literal(domain: str) -> None:
    """An address literal is the address of a host (RFC 5321 §4.1.3)."""
    found = _LITERAL.fullmatch(domain)
    try:
        host = found and (IPv6Address(found[1]) if found[1] else IPv4Address(found[2]))
    except ValueError:
        host = None
    if host is None:
        raise BadAddress("what stands in square brackets is not the address of a host")


def _check_domain(domain: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise BadAddress("what follows the @ is not a domain name")
    ascii_form = fold_domain(domain)
    if ascii_form.endswith("."):  # its last character is a full stop of another script
        raise BadAddress("what follows the @ is not a domain name")
    if len(ascii_form) > MAX_DOMAIN_OCTETS or max(map(len, ascii_form.split("."))) > MAX_LABEL_OCTETS:
        raise BadAddress("the domain name, or a label of it, is too long")


def without_joiners(text: str) -> str:
    """*text* less what joins letters or keeps them apart, as domains of some languages do (RFC 5892 A.1)."""
    return text.translate(_JOINERS)


@lru_cache(maxsize=4096)
def fold_domain(domain: str) -> str:
    """Write *domain* in the one form that all its spellings share (IDNA2008, UTS 46 mapping).

    Raises BadAddress if it is not ASCII and IDNA does not allow it.
    """
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except idna.IDNAError:
        raise BadAddress("the domain name is not one that IDNA allows") from None


def fold_local(local: str) -> str:
    """Write a local part in the form it is compared by: unquoted where quotes add nothing.

    Where they are needed, only a quote and a backslash are written with a backslash (RFC 5321 §4.1.2).
    Lower case rather than full case folding, which would let "strasse" pass for "straße".
    """
    if local.startswith('"'):
        bare = _ESCAPED.sub(r"\1", local[1:-1])
        is_plain = _LOCAL.fullmatch(bare) and not bare.startswith('"')
        local = bare if is_plain else f'"{_TO_ESCAPE.sub(_WITH_BACKSLASH, bare)}"'
    if local.isascii():
        return local.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
