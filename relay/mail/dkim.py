"""DKIM: what is signed of a message, and how a key is published (RFC 6376, RFC 8463).

Canonicalisation is relaxed for header and body, the only one that survives the road.  Pure functions
over bytes; the signing itself is a function that is handed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from relay.mail.header import Field, Header

_SPACES = re.compile(rb"[ \t]++")
_TAG = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*", re.DOTALL)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.IGNORECASE)
_LINE = 72  # octets of a line of the signature field
_MOST_OF_STRING = 255  # octets of one string of a TXT record (RFC 1035 §3.3.14)

# Each is named once more than it is there, so that none can be added afterwards (§8.15) …
_OVERSIGNED = (
    "from", "sender", "reply-to", "subject", "date", "message-id", "to", "cc", "mime-version", "content-type",
    "content-transfer-encoding", "in-reply-to", "references",
)  # fmt: skip
# … these as often as they are there (§5.4.1).
_SIGNED = (
    "content-id", "content-description", "resent-date", "resent-from", "resent-to", "resent-cc", "list-id",
    "list-help", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner",
    "list-archive",
)  # fmt: skip


class Algorithm(StrEnum):
    """How it is signed; the value is that of `a=`."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"

    @property
    def key_type(self) -> str:
        """The value of `k=` in the DNS record."""
        return self.value.partition("-")[0]


class Signer(NamedTuple):
    """A key at work: `sign` makes the signature of what is signed, not of its hash."""

    domain: str
    selector: str
    algorithm: Algorithm
    sign: Callable[[bytes], bytes]


class BadRecord(ValueError):
    """What is published is no key for DKIM; the message says why."""


# --- signing ---------------------------------------------------------------------------------------


def body_hash(body: bytes) -> bytes:
    """SHA-256 of the *body* in its relaxed form (§3.4.4, §3.7)."""
    return hashlib.sha256(relaxed_body(body)).digest()


def relaxed_body(body: bytes) -> bytes:
    """*body*, its line ends CRLF, with white space reduced, and no empty lines at its end (§3.4.4)."""
    # Not by patterns: where white space is all over, they would hold up everybody for seconds.
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n").removesuffix(b" ").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def relaxed_field(name: str, raw: bytes) -> bytes:
    """A header field in its relaxed form, without the CRLF at its end (§3.4.2)."""
    value = _SPACES.sub(b" ", raw.replace(b"\r\n", b"")).strip(b" \t")
    return name.lower().encode("ascii") + b":" + value


def signature_field(header: Header, hashed_body: bytes, signer: Signer, at: datetime) -> bytes:
    """The DKIM-Signature field, with its CRLF, for a message with this *header* and body hash (§3.5)."""
    names = tuple(_signed_names(header))
    tags = [
        "v=1;", f"a={signer.algorithm.value};", "c=relaxed/relaxed;", f"d={signer.domain};",
        f"s={signer.selector};", f"t={int(at.timestamp())};",
    ]  # fmt: skip
    raw = b"\r\n ".join([
        *_lines(tags, " "),
        *_lines([f"{':' if number else 'h='}{name}" for number, name in enumerate(names)], "", ";"),
        b"bh=" + base64.b64encode(hashed_body) + b";",
        b"b=",
    ])  # fmt: skip
    raw = b" " + raw
    signature = base64.b64encode(signer.sign(signed_input(header, names, raw)))
    pieces = (signature[at : at + _LINE] for at in range(0, len(signature), _LINE))
    return b"DKIM-Signature:" + raw + b"\r\n ".join(pieces) + b"\r\n"


def signed_input(header: Header, names: tuple[str, ...], raw: bytes) -> bytes:
    """What the signature is made of: the fields called *names* (lower case), then its own (§3.7, §5.4.2).

    Of several fields of one name the lowest comes first; a name that is there no more stands for nothing.
    """
    left: dict[str, list[Field]] = {name: list(header.all(name)) for name in names}
    pieces = [relaxed_field(name, left[name].pop().raw) + b"\r\n" for name in names if left[name]]
    return b"".join([*pieces, relaxed_field("dkim-signature", raw)])


def _signed_names(header: Header) -> Iterator[str]:
    for name in _OVERSIGNED:
        yield from [name] * (len(header.all(name)) + 1)
    for name in _SIGNED:
        yield from [name] * len(header.all(name))


def _lines(words: list[str], between: str, end: str = "") -> list[bytes]:
    """*words* in lines of about _LINE octets."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > _LINE:
            lines.append("")
        lines[-1] += (between if lines[-1] else "") + word
    lines[-1] += end
    return [line.encode("ascii") for line in lines]


# --- the record that publishes a key ----------------------------------------------------------------


def is_fit_name(text: str) -> bool:
    """Whether *text* can be a domain or a selector in DNS: labels of letters, digits and dashes (§3.1)."""
    return len(text) < 200 and _NAME.fullmatch(text) is not None and max(map(len, text.split("."))) < 64


def record_name(domain: str, selector: str) -> str:
    """Where the key is published (§3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def record_text(algorithm: Algorithm, public_key: bytes) -> str:
    """The text of the TXT record (§3.6.1; RFC 8463 §4)."""
    return f"v=DKIM1; k={algorithm.key_type}; p={base64.b64encode(public_key).decode()}"


def record_strings(text: str) -> tuple[str, ...]:
    """*text* in strings as long as DNS allows, to be read as one (§3.6.2.2)."""
    return tuple(text[at : at + _MOST_OF_STRING] for at in range(0, len(text), _MOST_OF_STRING))


def read_tags(text: str) -> Mapping[str, str]:
    """The tags of a list such as `v=DKIM1; k=rsa` (§3.2).  Raises BadRecord."""
    tags: dict[str, str] = {}
    for piece in text.strip().rstrip(";").split(";"):
        found = _TAG.fullmatch(piece)
        if found is None or found[1] in tags:
            raise BadRecord(f'"{piece.strip()}" is not written as tag=value, or is there twice')
        tags[found[1]] = found[2]
    return tags


def published_key(text: str) -> tuple[str, bytes]:
    """The kind of key that a TXT record publishes, and the key (§3.6.1).  Raises BadRecord."""
    tags = read_tags(text)
    if tags.get("v", "DKIM1") != "DKIM1":
        raise BadRecord("it is no record of DKIM")
    if "p" not in tags:
        raise BadRecord("it publishes no key")
    try:
        key = base64.b64decode("".join(tags["p"].split()), validate=True)
    except binascii.Error:
        raise BadRecord("its key is not written in base64") from None
    if not key:
        raise BadRecord("it revokes the key: p= is empty")
    return tags.get("k", "rsa"), key
