"""What holds for whatever stands in a From field."""

import contextlib
import email
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mail.address import Address, BadAddress
from relay.mail.mailbox import BadMailbox, parse_mailbox, parse_mailbox_list

ATEXT = "abcXYZ019!#$%&'*+-/=?^_`{|}~"
atoms = st.text(ATEXT, min_size=1, max_size=12).filter(lambda atom: "=?" not in atom)
words = st.one_of(atoms, st.text("äöüéßжあ山", min_size=1, max_size=8))
spaces = st.text(" \t", min_size=1, max_size=3)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cf"]), max_size=20)
locals_ = st.lists(atoms, min_size=1, max_size=3).map(".".join).filter(lambda local: len(local) <= 64)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--"
)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
addresses = st.builds(Address, locals_, domains)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def comments(draw: st.DrawFn) -> str:
    """A comment without an address in it, perhaps with others inside."""
    text = draw(words)
    for _ in range(draw(st.integers(0, 3))):
        text = f"{draw(words)} ({text})"
    return f"({text})"


gaps = st.one_of(st.just(""), spaces, comments(), st.builds("{} {}".format, comments(), comments()))


@given(addresses)
def test_a_plain_address_comes_back(address: Address) -> None:
    assert parse_mailbox(str(address).encode()).address == address
    assert parse_mailbox(f" <{address}>".encode()).address == address


@given(st.lists(words, min_size=1, max_size=5), addresses)
def test_a_name_of_words_comes_back(name: list[str], address: Address) -> None:
    mailbox = parse_mailbox(f"{' '.join(name)} <{address}>".encode())
    assert (mailbox.name, mailbox.address) == (" ".join(name), address)


@given(texts.filter(lambda text: "<" not in text and "=?" not in text), addresses)
def test_a_quoted_name_comes_back(name: str, address: Address) -> None:
    mailbox = parse_mailbox(f"{quoted(name)} <{address}>".encode())
    assert (mailbox.name, mailbox.address) == (name.strip(), address)


@given(texts.filter(lambda text: not set(text) & set("<@")), addresses)
def test_an_encoded_name_comes_back(name: str, address: Address) -> None:
    encoded = "".join(f"={octet:02X}" for octet in name.encode())
    mailbox = parse_mailbox(f"=?utf-8?q?{encoded}?= <{address}>".encode())
    assert (mailbox.name, mailbox.address) == (name.strip(), address)


@given(st.lists(st.tuples(gaps, atoms, gaps, gaps, addresses, gaps, gaps), min_size=1, max_size=4))
def test_comments_and_white_space_change_nothing(
    members: list[tuple[str, str, str, str, Address, str, str]],
) -> None:
    written = ",".join(
        f"{a}{name}{b}<{c}{address.local}{d}@{e}{address.domain}>{d}"
        for a, name, b, c, address, d, e in members
    )
    found = parse_mailbox_list(written.encode())
    assert [(mailbox.name, mailbox.address) for mailbox in found] == [(m[1], m[4]) for m in members]


def shown_by_others(value: bytes) -> set[str]:
    """Every address that the parsers of Python's library make of a From field."""
    text = value.decode()
    shown = {address for _, address in getaddresses([text]) if "@" in address}
    # The newer parser breaks off with an error of its own at some dots, and then shows nothing.
    with contextlib.suppress(AttributeError, IndexError):
        shown |= {each.addr_spec for each in default.header_factory("From", text).addresses if each.domain}
    if value.isascii():
        for policy in (default, email.policy.compat32):
            with contextlib.suppress(AttributeError, IndexError):
                message = email.message_from_bytes(b"From: " + value + b"\r\n\r\n", policy=policy)
                shown |= {each for _, each in getaddresses(message.get_all("From", [])) if "@" in each}
    return shown


def key_of(text: str) -> str:
    # Python's readers lose the quotes around a local part that is nothing but dots.
    local, _, domain = text.rpartition("@")
    for written in (text, f'"{local}"@{domain}'):
        with contextlib.suppress(BadAddress):
            return Address.parse(written).key
    return f"no address: {text}"


PIECES = [
    "me", "mine.example", "me@mine.example", "<me@mine.example>", "boss@bank.example", "<boss@bank.example>",
    "@", "<", ">", "(", ")", '"', "\\", '\\"', ",", ";", ":", ".", " ", "\t", "[192.0.2.1]", "[", "]", "'",
    "Name", "J.", '"a b"', "(c)", "=?utf-8?q?x?=", "=?utf-8?q?boss=40bank.example?=", "=?utf-8?q?=3C?=",
    "=?utf-8?q?=22?=", "=?utf-8?q?=2C?=", "=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGU=?=", "=?utf-8?q?", "?=", "=3C",
    "ü", "\u3000", "\u00a0", "\u2028", "\u200b", "\u202e", "\ufeff", "\uff20", "\uff1c",
]  # fmt: skip
tricky = st.builds(
    "{}{}{}".format,
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.sampled_from(["", "me@mine.example", "<me@mine.example>", " <me@mine.example>"]),
    st.lists(st.sampled_from(PIECES), max_size=2).map("".join),
)


@pytest.mark.parametrize("make", [tricky.map(str.encode), st.binary(max_size=40)], ids=["tricky", "any"])
def test_other_readers_see_no_address_but_those_we_saw(make: st.SearchStrategy[bytes]) -> None:
    """The differential promise: where the library's parsers would show another address, we refuse."""

    @settings(max_examples=1000)
    @given(make)
    def check(value: bytes) -> None:
        try:
            ours = {mailbox.address.key for mailbox in parse_mailbox_list(value)}
        except BadMailbox:
            return
        assert {key_of(address) for address in shown_by_others(value)} <= ours

    check()


@given(tricky)
def test_what_is_understood_names_addresses_that_stand_in_the_value(value: str) -> None:
    with contextlib.suppress(BadMailbox):
        for mailbox in parse_mailbox_list(value.encode()):
            assert mailbox.address.local in value
            assert mailbox.address.domain in value
            assert mailbox.name.isprintable() or "\t" in mailbox.name or not mailbox.name.isascii()
