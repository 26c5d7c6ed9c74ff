"""As whom a user may send."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.mail.address import Address, BadAddress, fold_domain

_SEPARATORS = re.compile(r"[;,\s]+")
_WILDCARD = "*."


class BadPattern(ValueError):
    """A sender pattern is none of address, domain, *.domain; the message names it."""


@dataclass(frozen=True, slots=True)
class Grants:
    """The authorised addresses and domains of one user.

    "ann@example.com" grants that address; "example.com" every address at exactly that domain;
    "*.example.com" those at its subdomains, at any depth, but not at example.com itself.
    """

    patterns: tuple[str, ...] = ()
    _addresses: frozenset[str] = field(init=False, repr=False, compare=False)
    _domains: frozenset[str] = field(init=False, repr=False, compare=False)
    _parents: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {"address": set[str](), "domain": set[str](), "parent": set[str]()}
        for pattern in self.patterns:
            if "@" in pattern:
                found["address"].add(pattern)
            elif pattern.startswith(_WILDCARD):
                found["parent"].add(pattern.removeprefix(_WILDCARD))
            else:
                found["domain"].add(pattern)
        object.__setattr__(self, "_addresses", frozenset(found["address"]))
        object.__setattr__(self, "_domains", frozenset(found["domain"]))
        object.__setattr__(self, "_parents", frozenset(found["parent"]))

    def allow(self, address: Address) -> bool:
        """Whether the user may send as *address*."""
        domain = address.domain_key
        if domain in self._domains or (self._addresses and address.key in self._addresses):
            return True
        if not self._parents:
            return False
        labels = domain.split(".")
        return any(".".join(labels[n:]) in self._parents for n in range(1, len(labels)))


def parse_patterns(text: str | Iterable[str]) -> tuple[str, ...]:
    """Read sender patterns, separated by `;`, `,` or white space, into their folded form, sorted.

    Raises BadPattern, naming the first that is no address, domain or *.domain.
    """
    words = _SEPARATORS.split(text) if isinstance(text, str) else text
    return tuple(sorted({_folded(word) for word in words if word}))


def _folded(word: str) -> str:
    local, _, domain = word.rpartition("@")
    pattern = domain if local in {"", "*"} else word  # "@example.com" and "*@example.com" are its domain
    bare = pattern.removeprefix(_WILDCARD)
    try:
        if "@" in pattern:
            return Address.parse(pattern).key
        Address.parse(f"x@{bare}")
    except BadAddress as fault:
        raise BadPattern(f'"{word}" is no address, domain or *.domain: {fault}') from None
    return (_WILDCARD if pattern.startswith(_WILDCARD) else "") + fold_domain(bare)
