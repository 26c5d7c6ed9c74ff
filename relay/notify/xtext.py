"""How addresses and ids are written in delivery reports (RFC 3461 §4, RFC 6533 §3)."""

from __future__ import annotations

import re

from relay.mail.address import Address

_HEX = re.compile(r"\+([0-9A-F]{2})")
_UNICODE = re.compile(r"\\x\{([0-9A-F]{2,6})\}")


def xtext_decoded(text: str) -> str:
    """Read what ENVID or ORCPT wrote as xtext; what would not be printable stays as it was written."""
    return _HEX.sub(_character, text)


def utf8_decoded(text: str) -> str:
    r"""Read an ORCPT of the type `utf-8`, which has U+00FC as it is or as `\x{FC}` (RFC 6533 §3)."""
    return _UNICODE.sub(_code_point, text)


def _character(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if " " <= character <= "~" else found[0]


def _code_point(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    character = chr(number) if number <= 0x10FFFF else "\0"
    return character if character.isprintable() else found[0]


def address_field(address: Address) -> str:
    """Write an address with its type, as Final-Recipient has it."""
    return f"{'rfc822' if address.is_ascii else 'utf-8'}; {address}"
