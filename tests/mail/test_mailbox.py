"""What is legal and common in From, Sender and the like, and what is read out of it."""

import contextlib

import pytest

from relay.mail.address import Address
from relay.mail.mailbox import MAX_OCTETS, BadMailbox, parse_mailbox, parse_mailbox_list

LEGAL = [
    # the plain forms
    (b"ann@example.com", "", "ann@example.com"),
    (b" ann@example.com", "", "ann@example.com"),
    (b"\tann@example.com \t", "", "ann@example.com"),
    (b"<ann@example.com>", "", "ann@example.com"),
    (b" <ann@example.com>", "", "ann@example.com"),
    (b"Ann <ann@example.com>", "Ann", "ann@example.com"),
    (b"Ann Smith <ann@example.com>", "Ann Smith", "ann@example.com"),
    (b"Ann Smith<ann@example.com>", "Ann Smith", "ann@example.com"),
    (b"Ann   Smith\t<ann@example.com>", "Ann Smith", "ann@example.com"),
    (b"Ann <ann@example.com> ", "Ann", "ann@example.com"),
    (b"ANN <ANN@EXAMPLE.COM>", "ANN", "ANN@EXAMPLE.COM"),
    (b"Ann <Ann@Example.Com>", "Ann", "Ann@Example.Com"),
    (b"3M & Sons <ann@example.com>", "3M & Sons", "ann@example.com"),
    (b"O'Neill <ann@example.com>", "O'Neill", "ann@example.com"),
    (b"Ann-Marie <ann@example.com>", "Ann-Marie", "ann@example.com"),
    # an address in the place of a name
    (b"ann@example.com <ann@example.com>", "", "ann@example.com"),
    (b"ann@example.com<Ann@Example.com>", "", "ann@example.com"),
    # names in quotes
    (b'"Ann Smith" <ann@example.com>', "Ann Smith", "ann@example.com"),
    (b'"Ann Smith"<ann@example.com>', "Ann Smith", "ann@example.com"),
    (b'"Smith, Ann" <ann@example.com>', "Smith, Ann", "ann@example.com"),
    (b'"Ann (Sales)" <ann@example.com>', "Ann (Sales)", "ann@example.com"),
    (b'"Ann; Sales: North" <ann@example.com>', "Ann; Sales: North", "ann@example.com"),
    (b'"Ann @ Work" <ann@example.com>', "Ann @ Work", "ann@example.com"),
    (b'"ann@example.com" <ann@example.com>', "ann@example.com", "ann@example.com"),
    (rb'"Ann \"Quick\" Smith" <ann@example.com>', 'Ann "Quick" Smith', "ann@example.com"),
    (rb'"Back\\slash" <ann@example.com>', "Back\\slash", "ann@example.com"),
    (b'"a < b > c" <ann@example.com>', "a < b > c", "ann@example.com"),
    (b'"" <ann@example.com>', "", "ann@example.com"),
    (b'" " <ann@example.com>', "", "ann@example.com"),
    (b'"Ann" Smith <ann@example.com>', "Ann Smith", "ann@example.com"),
    (b'"Ann" "Smith" <ann@example.com>', "Ann Smith", "ann@example.com"),
    (b'Ann "Quick" Smith <ann@example.com>', "Ann Quick Smith", "ann@example.com"),
    (b'"Ann\tSmith" <ann@example.com>', "Ann\tSmith", "ann@example.com"),
    # names with characters that an atom may have
    (b"Ann!#$%&'*+-/=?^_`{|}~ <ann@example.com>", "Ann!#$%&'*+-/=?^_`{|}~", "ann@example.com"),
    (b"*Ann* <ann@example.com>", "*Ann*", "ann@example.com"),
    (b"=?= <ann@example.com>", "=?=", "ann@example.com"),
    # obsolete dots in names
    (b"John Q. Public <ann@example.com>", "John Q. Public", "ann@example.com"),
    (b"J. R. R. Tolkien <ann@example.com>", "J. R. R. Tolkien", "ann@example.com"),
    (b"Example Inc. <ann@example.com>", "Example Inc.", "ann@example.com"),
    (b"example.com <ann@example.com>", "example.com", "ann@example.com"),
    (b"Ann ... Smith <ann@example.com>", "Ann ... Smith", "ann@example.com"),
    (b'"Dr." Ann. <ann@example.com>', "Dr. Ann.", "ann@example.com"),
    # encoded words
    (b"=?utf-8?q?M=C3=BCller?= <ann@example.com>", "Müller", "ann@example.com"),
    (b"=?UTF-8?B?TcO8bGxlcg==?= <ann@example.com>", "Müller", "ann@example.com"),
    (b"=?utf-8?b?TcO8bGxlcg?= <ann@example.com>", "Müller", "ann@example.com"),
    (b"=?iso-8859-1?q?M=FCller=2C_Ann?= <ann@example.com>", "Müller, Ann", "ann@example.com"),
    (b"=?utf-8?q?M=C3=BC?= =?utf-8?q?ller?= <ann@example.com>", "Müller", "ann@example.com"),
    (b"=?utf-8?q?M=C3=BC?=  \t =?utf-8?q?ller?= <ann@example.com>", "Müller", "ann@example.com"),
    (b"Ann =?utf-8?q?M=C3=BCller?= <ann@example.com>", "Ann Müller", "ann@example.com"),
    (b'"=?utf-8?q?M=C3=BCller?=" <ann@example.com>', "Müller", "ann@example.com"),
    (b"=?iso-2022-jp?b?GyRCOzNFRBsoQg==?= <ann@example.com>", "山田", "ann@example.com"),
    (b"=?gb2312?b?1dTB1Q==?= <ann@example.com>", "赵琳", "ann@example.com"),
    (b"=?windows-1252?q?Ann=92s?= <ann@example.com>", "Ann’s", "ann@example.com"),
    (b"=?utf-8*de?q?M=C3=BCller?= <ann@example.com>", "Müller", "ann@example.com"),
    (b"=?x-unheard-of?q?Ann?= <ann@example.com>", "Ann", "ann@example.com"),
    (b"=?utf-8?q??= <ann@example.com>", "", "ann@example.com"),
    (b"=?utf-8?q?ann=40example.com?= <ann@example.com>", "ann@example.com", "ann@example.com"),
    (b"=?utf-8?q?B=C3=BCro_=40_Work?= <ann@example.com>", "Büro @ Work", "ann@example.com"),
    (b"=?utf-8?q?a_=3C_b?= <ann@example.com>", "a < b", "ann@example.com"),
    (b"=?utf-8?q?=F0=9F=91=A9=E2=80=8D=F0=9F=92=BB?= <ann@example.com>", "👩\u200d💻", "ann@example.com"),
    # comments
    (b"ann@example.com (Ann Smith)", "Ann Smith", "ann@example.com"),
    (b"(Ann Smith) ann@example.com", "Ann Smith", "ann@example.com"),
    (b"(Ann) <ann@example.com>", "Ann", "ann@example.com"),
    (b"Ann (Sales) <ann@example.com>", "Ann", "ann@example.com"),
    (b"Ann (Sales) Smith <ann@example.com>", "Ann Smith", "ann@example.com"),
    (b"Ann <ann@example.com> (Sales)", "Ann", "ann@example.com"),
    (b"Ann Smith (ann.smith@example.net) <ann@example.com>", "Ann Smith", "ann@example.com"),
    (b"ann@example.com (a (b (c)) d)", "a (b (c)) d", "ann@example.com"),
    (rb"ann@example.com (a \) b)", "a ) b", "ann@example.com"),
    (rb"ann@example.com (a \( b)", "a ( b", "ann@example.com"),
    (b'ann@example.com ("a)', '"a', "ann@example.com"),
    (b"ann@example.com ()", "", "ann@example.com"),
    (b"ann@example.com (=?utf-8?q?M=C3=BCller?=)", "Müller", "ann@example.com"),
    (b"(one) Ann (two) <(three)ann@example.com(four)> (five)", "Ann", "ann@example.com"),
    (b"ann(x)@example.com", "x", "ann@example.com"),
    (b"ann@(x)example.com", "x", "ann@example.com"),
    (b"ann @ example.com", "", "ann@example.com"),
    (b"< ann@example.com >", "", "ann@example.com"),
    (b"Ann <\tann@example.com>", "Ann", "ann@example.com"),
    (b"(" * 16 + b"x" + b")" * 16 + b" ann@example.com", "(" * 15 + "x" + ")" * 15, "ann@example.com"),
    # addresses of every legal kind
    (b"ann.smith@example.com", "", "ann.smith@example.com"),
    (b"ann+news@example.com", "", "ann+news@example.com"),
    (b"bounce=bob=example.net@example.com", "", "bounce=bob=example.net@example.com"),
    (b"!#$%&'*+-/=^_`{|}~@example.com", "", "!#$%&'*+-/=^_`{|}~@example.com"),
    (b"/S=ann/O=x/@example.com", "", "/S=ann/O=x/@example.com"),
    (b'"ann smith"@example.com', "", '"ann smith"@example.com'),
    (b'Ann <"ann smith"@example.com>', "Ann", '"ann smith"@example.com'),
    (b'"ann@home"@example.com', "", '"ann@home"@example.com'),
    (rb'"ann\"s"@example.com', "", '"ann\\"s"@example.com'),
    (b"ann@localhost", "", "ann@localhost"),
    (b"ann@a.b.c.d.example.co.uk", "", "ann@a.b.c.d.example.co.uk"),
    (b"ann@xn--mnchen-3ya.example", "", "ann@xn--mnchen-3ya.example"),
    (b"ann@3com.example", "", "ann@3com.example"),
    (b"ann@[192.0.2.1]", "", "ann@[192.0.2.1]"),
    (b"Ann <ann@[IPv6:2001:db8::1]>", "Ann", "ann@[IPv6:2001:db8::1]"),
    (b"m" * 64 + b"@example.com", "", "m" * 64 + "@example.com"),
    # beyond ASCII (RFC 6532)
    ("Müller <ann@example.com>".encode(), "Müller", "ann@example.com"),
    ('"Müller, Ann" <ann@example.com>'.encode(), "Müller, Ann", "ann@example.com"),
    ("山田 太郎 <ann@example.com>".encode(), "山田 太郎", "ann@example.com"),
    ("کتاب\u200cها <ann@example.com>".encode(), "کتاب\u200cها", "ann@example.com"),  # noqa: RUF001  Persian
    ("ann@example.com (Müller)".encode(), "Müller", "ann@example.com"),
    ("ann@münchen.example".encode(), "", "ann@münchen.example"),
    ("jürgen@münchen.example".encode(), "", "jürgen@münchen.example"),
    ("用户 <用户@例子.example>".encode(), "用户", "用户@例子.example"),
]


def test_there_are_many_legal_forms() -> None:
    assert len(LEGAL) >= 90


@pytest.mark.parametrize(("value", "name", "address"), LEGAL, ids=[repr(form[0]) for form in LEGAL])
def test_understood(value: bytes, name: str, address: str) -> None:
    mailbox = parse_mailbox(value)
    assert (mailbox.name, str(mailbox.address)) == (name, address)


@pytest.mark.parametrize("value", [form[0] for form in LEGAL], ids=repr)
def test_the_short_way_for_plain_forms_reads_what_the_long_way_reads(value: bytes) -> None:
    assert parse_mailbox(value + b" ()") == parse_mailbox(value)


def test_a_list_is_read_in_its_order() -> None:
    found = parse_mailbox_list(
        b'Ann <ann@example.com>, bob@example.net (Bob),\t"Carol, C." <carol@example.org>'
    )
    assert [(mailbox.name, str(mailbox.address)) for mailbox in found] == [
        ("Ann", "ann@example.com"),
        ("Bob", "bob@example.net"),
        ("Carol, C.", "carol@example.org"),
    ]


def test_an_address_keeps_its_spelling_and_is_compared_by_its_key() -> None:
    assert parse_mailbox("Ann@MÜNCHEN.example".encode()).address.key == "ann@xn--mnchen-3ya.example"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "it is empty"),
        (b"a@example.com, b@example.com", "it holds more than one address"),
        (b"Ann", "it has no address where one should be"),
        (b"Ann <>", "its address is empty"),
        (b"ann@example.com <ann@example.org>", "its name is another address and is not in quotes"),
        (b"ann@example.com <ann@example.com> <ann@example.com>", "something follows the address"),
        (b"Ann @ Work <ann@example.com>", "its name is another address and is not in quotes"),
        (b"Ann Smith @ Work <ann@example.com>", "its name holds an @ and is not in quotes"),
        (b'"Ann <ann@example.com>', "a quoted string in it is not closed"),
        (b"ann@example.com (x", "a comment in it is not closed"),
        (b"Ann) <ann@example.com>", "a comment ends in it that never began"),
        (b"Us: ann@example.com;", "it is a group or a route, not an address"),
        (b"M\xfcller <ann@example.com>", "it is neither ASCII nor UTF-8"),
        (b"Ann\0 <ann@example.com>", "it holds control characters"),
        (b"x" * (MAX_OCTETS + 1), "it is longer than 4096 octets"),
        (b"=?utf-8?q?ann?=@example.com", "its address is written as an encoded word"),
        (b"=?utf-8?q?b=40example.net?= <ann@example.com>", "its name hides another address in encoded words"),
        (b'"<b@example.net>" <ann@example.com>', "its name holds another address in angle brackets"),
        (b"ann@example..com", "what follows the @ is not a domain name"),
    ],
)
def test_a_refusal_says_why(value: bytes, why: str) -> None:
    with pytest.raises(BadMailbox) as refusal:
        parse_mailbox(value)
    assert str(refusal.value) == why


MEGABYTE = 1 << 20
HUGE = {
    "nested comments": b"(" * MEGABYTE,
    "nested comments, closed": b"(" * (MEGABYTE // 2) + b")" * (MEGABYTE // 2) + b"a@example.com",
    "many comments": b"(x)" * (MEGABYTE // 3) + b"a@example.com",
    "an open quote": b'"' + b"a" * MEGABYTE,
    "backslashes in a quote": b'"' + b"\\" * MEGABYTE,
    "many quotes": b'"a" ' * (MEGABYTE // 4) + b"<a@example.com>",
    "many words": b"a " * (MEGABYTE // 2) + b"<a@example.com>",
    "one long word": b"a" * MEGABYTE,
    "one long local part": b"a" * MEGABYTE + b"@example.com",
    "one long domain": b"a@" + b"a" * MEGABYTE,
    "many labels": b"a@" + b"a." * (MEGABYTE // 2) + b"example",
    "one long domain beyond ASCII": b"a@" + "ü".encode() * (MEGABYTE // 2),
    "dots": b"." * MEGABYTE,
    "spaces": b" " * MEGABYTE + b"x",
    "spaces before the angle": b"a" + b" " * MEGABYTE + b"<",
    "many addresses": b"a@example.com," * (MEGABYTE // 14) + b"a@example.com",
    "many at signs": b"@" * MEGABYTE,
    "many angles": b"<" * MEGABYTE,
    "angles in quotes": b'"' + b"<" * MEGABYTE + b'" <a@example.com>',
    "at signs in quotes": b'"' + b"<a@" * (MEGABYTE // 3) + b'" <a@example.com>',
    "encoded words": b"=?utf-8?q?a?= " * (MEGABYTE // 14) + b"<a@example.com>",
    "encoded words, never ended": b"=?utf-8?q?a" * (MEGABYTE // 11) + b" <a@example.com>",
    "encoded words, begun": b"=?" * (MEGABYTE // 2) + b" <a@example.com>",
    "encoded at signs": b"=?utf-8?q?" + b"=40" * (MEGABYTE // 3) + b"?= <a@example.com>",
    "a slow charset": b"=?punycode?q?" + b"a-9" * (MEGABYTE // 3) + b"?= <a@example.com>",
    "another slow charset": b"=?idna?q?" + b"a." * (MEGABYTE // 2) + b"?= <a@example.com>",
}


@pytest.mark.parametrize("value", HUGE.values(), ids=HUGE)
def test_no_value_takes_more_than_one_pass(value: bytes) -> None:
    """A quadratic reader would need hours for these, and run into the time limit of all tests."""
    for limit in (MAX_OCTETS, 2 * MEGABYTE):
        with contextlib.suppress(BadMailbox):
            parse_mailbox_list(value, max_octets=limit)


def test_what_is_read_is_an_address_like_any_other() -> None:
    assert parse_mailbox(b"ann@example.com").address == Address.parse("ann@example.com")
