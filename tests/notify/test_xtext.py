"""Addresses and ids as reports write them."""

import pytest

from relay.mail.address import Address
from relay.notify.xtext import address_field, utf8_decoded, xtext_decoded


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("QQ314159", "QQ314159"),
        ("a+2Bb+3Dc", "a+b=c"),
        ("ann@example.com", "ann@example.com"),
        ("a+0D+0Ab", "a+0D+0Ab"),  # would end the line
        ("a+00b", "a+00b"),
        ("a+FFb", "a+FFb"),
        ("a+2", "a+2"),
        ("a+2b", "a+2b"),  # lower case is none (RFC 3461 §4)
        (r"a\x{FC}b", r"a\x{FC}b"),  # means nothing but itself in an ENVID
        ("+5Cx{FC}@example.com", r"\x{FC}@example.com"),
    ],
)
def test_xtext(written: str, meant: str) -> None:
    assert xtext_decoded(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ü@example.com", "ü@example.com"),
        (r"\x{FC}@example.com", "ü@example.com"),
        (r"\x{2B}41@example.com", "+41@example.com"),
        (r"\x{0A}", r"\x{0A}"),
        (r"\x{D800}", r"\x{D800}"),
        (r"\x{110000}", r"\x{110000}"),
        (r"\x{2028}", r"\x{2028}"),
    ],
)
def test_addresses_of_the_type_utf_8(written: str, meant: str) -> None:
    assert utf8_decoded(written) == meant


def test_the_type_of_an_address_says_whether_it_is_ascii() -> None:
    assert address_field(Address.parse("ann@example.com")) == "rfc822; ann@example.com"
    assert address_field(Address.parse("jürgen@example.com")) == "utf-8; jürgen@example.com"
