"""Addresses: what is one, and which are the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address, BadAddress, fold_domain, fold_local

APART = "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"  # Persian: a joiner keeps its letters apart
TOGETHER = APART.replace("\u200c", "")

GOOD = [
    "ann@example.com",
    "a@b",
    "Ann.Smith+tag@example.com",
    "!#$%&'*+-/=?^_`{|}~@example.com",
    '"ann smith"@example.com',
    '"ann@home"@example.com',
    r'"a\"b\\c"@example.com',
    '""@example.com',
    '"."@example.com',
    "ann@3com.example",
    "ann@a-b--c.example",
    "ann@xn--mnchen-3ya.example",
    "ann@123.example",
    "ann@[192.0.2.1]",
    "ann@[IPv6:2001:db8::1]",
    "ann@[ipv6:::ffff:192.0.2.1]",
    "jürgen@münchen.example",
    "用户@例子.example",
    "ann@faß.example",
    f"ann@{APART}.example",
    "a" * 64 + "@example.com",
    "ü" * 32 + "@example.com",
    "ann@" + "a" * 63 + ".example",
    "a@" + ("a" * 62 + ".") * 3 + "a" * 63,  # 254 octets
]


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(Address.parse(text)) == text


BAD = [
    "",
    "@",
    "ann",
    "ann@",
    "@example.com",
    "ann@@example.com",
    "ann@b@example.com",
    "ann smith@example.com",
    " ann@example.com",
    "ann@example.com ",
    "ann @example.com",
    "ann@ example.com",
    ".ann@example.com",
    "ann.@example.com",
    "a..b@example.com",
    '"ann@example.com',
    'ann"@example.com',
    'a"b"@example.com',
    '"a"b@example.com',
    '"a".b@example.com',
    '"a\\"@example.com',
    '"a\tb"@example.com',
    "ann\\@x@example.com",
    "a(b)@example.com",
    "a,b@example.com",
    "a:b@example.com",
    "a;b@example.com",
    "<ann@example.com>",
    "ann@example.com>",
    "a[b]@example.com",
    "ann@.example.com",
    "ann@example.com.",
    "ann@example..com",
    "ann@münchen.example。",
    "ann@-example.com",
    "ann@example-.com",
    "ann@exa_mple.com",
    "ann@exa mple.com",
    "ann@example.com/x",
    "ann@[]",
    "ann@[192.0.2]",
    "ann@[192.0.2.256]",
    "ann@[192.0.02.1]",
    "ann@[192.0.2.1.1]",
    "ann@[١٩٢.0.2.1]",
    "ann@[example.com]",
    "ann@[2001:db8::1]",
    "ann@[IPv6:192.0.2.1]",
    "ann@[IPv6:2001:db8::1%eth0]",
    "ann@[IPv6:2001:db8:::1]",
    "ann@[192.0.2.1",
    "ann@192.0.2.1]",
    "ann@[192.0.2.1]x",
    "a\0b@example.com",
    "ann@exa\0mple.com",
    "a\rb@example.com",
    "a\nb@example.com",
    "ann@example.com\r\n",
    "a\x7fb@example.com",
    "a\u0085b@example.com",
    "a\u2028b@example.com",
    "a\u00a0b@example.com",
    "a\u200bb@example.com",
    f"{APART}@example.com",
    "ann@mün\u200bchen.example",
    "a\u202eb@example.com",
    "a\ud800b@example.com",
    "ann@exa\ud800mple.com",
    "ann@xn--ü.example",
    "ann@a\u200db.example",
    "ann@\u2100.example",
    "ann@a\uff0fb.example",
    "ann@☃️\u0301.example",
    "a" * 65 + "@example.com",
    "ü" * 33 + "@example.com",
    "ann@" + "a" * 64 + ".example",
    "ann@" + "ü" * 60 + ".example",  # an A-label of more than 63 octets
    "aa@" + ("a" * 62 + ".") * 3 + "a" * 63,  # 255 octets
    "ann@" + "a." * 5000 + "example",
    "ann@" + "ü." * 5000 + "example",
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:40])
def test_what_is_no_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        Address.parse(text)
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("@a.example:ann@example.com", "ann@example.com"),
        ("@a.example,@b.example:ann@example.com", "ann@example.com"),
        ('@a.example:"a:b"@example.com', '"a:b"@example.com'),
    ],
)
def test_a_source_route_is_understood_and_dropped(path: str, address: str) -> None:
    assert str(Address.parse_path(path)) == address


@pytest.mark.parametrize(
    "path",
    ["@", "@a.example", "@a.example:", "@a.example,:ann@example.com", "@a.example ann@example.com", ",@a:b@c",
     "@a.example,b.example:ann@example.com", "@a.example;ann@example.com", "@a@b:ann@example.com"],
)  # fmt: skip
def test_a_broken_source_route_is_refused(path: str) -> None:
    with pytest.raises(BadAddress):
        Address.parse_path(path)


def test_the_null_path_is_the_null_address() -> None:
    assert Address.parse_path("") is Address.NULL
    assert str(Address.NULL) == ""
    assert Address.NULL.key == ""
    assert Address.parse("a@b") != Address.NULL


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "ANN@EXAMPLE.COM"),
        ("ann@example.com", '"ann"@example.com'),
        ("a.b@example.com", r'"a\.b"@example.com'),
        ('"a b"@example.com', r'"\a\ b"@example.com'),
        ("ann@münchen.example", "ann@xn--mnchen-3ya.example"),
        ("ann@münchen.example", "ann@XN--MNCHEN-3YA.example"),
        ("ann@münchen.example", "ann@MÜNCHEN.Example"),
        ("ann@münchen.example", "ann@mu\u0308nchen.example"),
        (f"ann@{APART}.example", "ann@xn--mgba3gch31f060k.example"),
        ("ann@example.com", "ann@example。com"),
        ("ann@example.com", "ann@\uff45xample.com"),  # fullwidth
        ("jürgen@example.com", "JÜRGEN@example.com"),
        ("jürgen@example.com", "ju\u0308rgen@example.com"),
    ],
)
def test_the_same_address(one: str, other: str) -> None:
    assert Address.parse(one).key == Address.parse(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "ann@example.net"),
        ("ann@example.com", "ann@sub.example.com"),
        ("ann@example.com", "a.nn@example.com"),
        ("ann@example.com", "ann+x@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("ann@strasse.example", "ann@straße.example"),
        (f"ann@{APART}.example", f"ann@{TOGETHER}.example"),
        ("ann@example.com", "ann@\u0435xample.com"),  # Cyrillic
        ("ann@example.com", "\u0430nn@example.com"),
        ('"a b"@example.com', '"ab"@example.com'),
        ('"a@b"@example.com', "a@b"),
        (r'"a\\b c"@example.com', '"ab c"@example.com'),
        ("i@example.com", "\u0131@example.com"),
    ],
)
def test_not_the_same_address(one: str, other: str) -> None:
    assert Address.parse(one).key != Address.parse(other).key


def test_ascii_is_what_an_upstream_without_smtputf8_can_be_told() -> None:
    assert Address.parse("ann@example.com").is_ascii
    assert not Address.parse("ann@münchen.example").is_ascii
    assert not Address.parse("jürgen@example.com").is_ascii


def test_an_address_made_of_another_has_a_key_of_its_own() -> None:
    ann = Address.parse("Ann@Example.com")
    assert (ann.key, ann.domain_key, ann.is_ascii) == ("ann@example.com", "example.com", True)
    moved = replace(ann, domain="münchen.example")
    assert (moved.key, moved.is_ascii) == ("ann@xn--mnchen-3ya.example", False)


@given(st.text(max_size=40))
def test_whatever_is_read_comes_back(text: str) -> None:
    try:
        address = Address.parse(text)
    except BadAddress:
        return
    assert str(address) == text
    assert text.isprintable()


pieces = st.sampled_from([*'aÄßİ\u017f\u212a\u0308.@"\\ -。', "xn--", "[1.2.3.4]"])


@given(st.lists(pieces, max_size=12).map("".join).map("a{}@b.example".format))
def test_folding_an_address_again_changes_nothing(text: str) -> None:
    try:
        address = Address.parse(text)
    except BadAddress:
        return
    assert fold_local(fold_local(address.local)) == fold_local(address.local)
    assert fold_domain(fold_domain(address.domain)) == fold_domain(address.domain)
    assert Address.parse(address.key).key == address.key
