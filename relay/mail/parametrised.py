"""Fields of MIME with parameters, as text: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231).

Read strictly: what two readers could take for different things is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from relay.mail.encoded import BadCharset, BadEncodedWord, exactly_decoded, in_charset

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # noqa: S105  a word of a grammar
_LEAD = re.compile(rf"\s*({_TOKEN}++(?:/{_TOKEN}++)?)\s*")
_PARAMETER = re.compile(
    rf';\s*({_TOKEN}++)\s*=\s*("[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|[^\s;"()<>@,:\\\[\]?=]++)\s*', re.DOTALL
)
_END = re.compile(r"[;\s]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_NAMED = re.compile(r"([^*]++)(?:\*(0|[1-9][0-9]?))?(\*)?")


class BadField(ValueError):
    """The field cannot be understood in only one way; the message says why."""


class Parametrised(NamedTuple):
    """What the field says first, and its parameters; all names in lower case."""

    value: str
    parameters: Mapping[str, str]


def read_parametrised(raw: bytes) -> Parametrised:
    """Read a field's value as it is written.  Raises BadField."""
    try:
        text = _FOLD.sub(b"", raw).decode()
    except UnicodeDecodeError:
        raise BadField("a field of a part is neither ASCII nor UTF-8") from None
    lead = _LEAD.match(text)
    if lead is None:
        raise BadField("a field of a part cannot be understood")
    written: dict[str, str] = {}
    position = lead.end()
    while found := _PARAMETER.match(text, position):
        name = found[1].lower()
        if name in written:
            raise BadField(f"the parameter {name} of a part is there twice")
        written[name] = _ESCAPED.sub(r"\1", found[2][1:-1]) if found[2][0] == '"' else found[2]
        position = found.end()
    if not _END.fullmatch(text, position):
        raise BadField("the parameters of a part cannot be understood")
    try:
        return Parametrised(lead[1].lower(), _joined(written))
    except (BadCharset, BadEncodedWord) as fault:
        raise BadField(f"a parameter of a part cannot be read: {fault}") from None


def _joined(written: Mapping[str, str]) -> Mapping[str, str]:
    """The parameters themselves, of the pieces that they were cut into (RFC 2231 §3, §4)."""
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    found: dict[str, str] = {}
    for key, value in written.items():
        named = _NAMED.fullmatch(key)
        if named is None:
            raise BadField(f"the parameter {key} of a part cannot be understood")
        name, number, star = named[1], named[2], named[3]
        if number is None and star is None:
            found[name] = exactly_decoded(value)  # not allowed in quotes (RFC 2047 §5), and done by many
        else:
            pieces.setdefault(name, {})[int(number or 0)] = (star is not None, value)
    # Where a name is written both ways, the new one counts (RFC 6266 §4.3 says it of the same field).
    return found | {name: _assembled(name, those) for name, those in pieces.items()}


def _assembled(name: str, pieces: Mapping[int, tuple[bool, str]]) -> str:
    if sorted(pieces) != list(range(len(pieces))):
        raise BadField(f"a piece of the parameter {name} of a part is missing")
    is_extended, first = pieces[0]
    charset, octets = "utf-8", b""
    if is_extended:
        charset, mark, rest = first.partition("'")
        _language, other, first = rest.partition("'")
        if not mark or not other:
            raise BadField(f"the parameter {name} of a part says no charset")
    for number in range(len(pieces)):
        is_escaped, text = pieces[number]
        text = first if number == 0 else text
        octets += unquote_to_bytes(text) if is_escaped else text.encode()
    return in_charset(octets, charset or "us-ascii")
