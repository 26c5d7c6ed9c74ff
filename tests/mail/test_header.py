"""The header section: found in one way only, or refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.header import MAX_FIELDS, MAX_HEADER_OCTETS, BadHeader, scan, without

LETTER = (
    b"Received: from a by b;\r\n\tMon, 2 Mar 2026 12:00:00 +0000\r\n"
    b"From: Ann <ann@example.com>\r\n"
    b"TO: bob@example.net,\r\n carol@example.org\r\n"
    b"Subject:Tea\r\n"
    b"received: again\r\n"
    b"\r\n"
    b"From: nobody\r\n\r\nAt five.\r\n"
)


def test_fields_are_found_in_their_order_by_folded_name() -> None:
    header = scan(LETTER)
    assert [field.name for field in header.fields] == ["received", "from", "to", "subject", "received"]
    assert LETTER[header.end :].startswith(b"\r\nFrom: nobody")


def test_values_lose_their_folds_and_nothing_else() -> None:
    header = scan(LETTER)
    (to,) = header.all("to")
    assert to.raw == b" bob@example.net,\r\n carol@example.org"
    assert to.value == b" bob@example.net, carol@example.org"
    assert to.text == "bob@example.net, carol@example.org"
    assert [field.value for field in header.all("subject")] == [b"Tea"]


def test_a_field_is_asked_for_by_name() -> None:
    header = scan(LETTER)
    assert len(header.all("received")) == 2
    first = header.first("received")
    assert first is not None
    assert first.value.startswith(b" from a")
    assert header.first("sender") is None
    assert header.all("sender") == []


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"\r\nFrom: x\r\n", []),
        (b"\r\n\r\n", []),
        (b"From: x\r\n", ["from"]),  # nothing but a header
        (b"From: x\r\n\r\n", ["from"]),
        (b"From:\r\n\r\n", ["from"]),
        (b"From: \r\n\r\n", ["from"]),
        (b"From:\r\n x\r\n\r\n", ["from"]),
        (b"From:x\r\n\r\n", ["from"]),
        (b"FROM: x\r\n\r\n", ["from"]),
        (
            b"From : x\r\n\r\n",
            ["from"],
        ),  # obsolete (RFC 5322 §4.5)
        (b"From\t \t: x\r\n\r\n", ["from"]),
        (b"From:: x\r\n\r\n", ["from"]),
        (b"From:x:y\r\n\r\n", ["from"]),
        (b"!#$%&'*+-.^_`|~: x\r\n\r\n", ["!#$%&'*+-.^_`|~"]),
        (b"Subject: x\r\n \r\n\t\r\n y\r\n\r\n", ["subject"]),  # folds of white space alone
        (b"Subject: \x1b$B;3ED\x1b(B\r\n\r\n", ["subject"]),  # raw ISO-2022-JP
        ("Subject: Tschüß\r\n\r\n".encode(), ["subject"]),
        (b"Subject: Tsch\xfc\xdf\r\n\r\n", ["subject"]),
        (b"Subject: x\ty\x01\x7f\r\n\r\n", ["subject"]),
        (b"A: 1\r\nB: 2\r\nA: 3\r\n\r\n", ["a", "b", "a"]),
    ],
    ids=repr,
)
def test_understood(content: bytes, names: list[str]) -> None:
    assert [field.name for field in scan(content).fields] == names


NOT_WRITTEN = "header field {} is not written as name, colon, value"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Hello\r\n", NOT_WRITTEN.format(1)),
        (b"Hello\r\n\r\nFrom: x\r\n", NOT_WRITTEN.format(1)),
        (b"From: x\r\nHello\r\n\r\n", NOT_WRITTEN.format(2)),
        (b"From: x\r\nHello, world\r\nTo: y\r\n\r\n", NOT_WRITTEN.format(2)),
        (b" From: x\r\n\r\n", NOT_WRITTEN.format(1)),  # a continuation of nothing
        (b"\tx\r\nFrom: x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b" \r\nFrom: x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b": x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b" : x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"From x: y\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"Fr\xf6m: x\r\n\r\n", NOT_WRITTEN.format(1)),
        ("Fröm: x\r\n\r\n".encode(), NOT_WRITTEN.format(1)),
        (b"From\x01: x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"From\x7f: x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"\xef\xbb\xbfFrom: x\r\n\r\n", NOT_WRITTEN.format(1)),  # a byte order mark
        (b"From boss@bank.example Mon Mar  2 12:00:00 2026\r\nFrom: x\r\n\r\n", NOT_WRITTEN.format(1)),
        (b">From: x\r\n >y\r\nz\r\n\r\n", NOT_WRITTEN.format(2)),
        (b"From: x", NOT_WRITTEN.format(1)),  # never ended
        (b"From: x\r", NOT_WRITTEN.format(1)),
        (b"From: x\r\n\r", NOT_WRITTEN.format(2)),
        (b"From: x\nTo: y\r\n\r\n", NOT_WRITTEN.format(1)),  # line ends are to be settled before
        (b"From: x\rTo: y\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"From: x\r\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"From: x\r\n\nTo: y\r\n\r\n", NOT_WRITTEN.format(2)),
        (b"Subject: x\x0bFrom: boss\r\n\r\n", NOT_WRITTEN.format(1)),  # line ends to str.splitlines
        (b"Subject: x\x0cFrom: boss\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"Subject: x\x1cFrom: boss\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"Subject: x\x1dFrom: boss\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"Subject: x\x1eFrom: boss\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"Subject: x\r\n \x0cFrom: boss\r\n\r\n", NOT_WRITTEN.format(1)),
        (b"From: x\0\r\n\r\n", "the header holds a NUL octet"),
        (b"Fr\0m: x\r\n\r\n", "the header holds a NUL octet"),
        (b"\0From: x\r\n\r\n", "the header holds a NUL octet"),
        (b"From: x\r\n\0\r\n\r\n", "the header holds a NUL octet"),
        (b"Hello\r\n\r\nbody\0\r\n", NOT_WRITTEN.format(1)),
    ],
    ids=repr,
)
def test_refused(content: bytes, why: str) -> None:
    with pytest.raises(BadHeader) as refusal:
        scan(content)
    assert str(refusal.value) == why


TOO_LONG = f"the header is longer than {MAX_HEADER_OCTETS} octets"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"A: x\r\n" * (MAX_FIELDS + 1) + b"\r\n", f"the header has more than {MAX_FIELDS} fields"),
        (b"A: x\r\n" * 100_000, f"the header has more than {MAX_FIELDS} fields"),
        (b"A: " + b"x" * MAX_HEADER_OCTETS + b"\r\n\r\n", TOO_LONG),
        (b"A: x\r\n" + b"B: " + b"x" * (1 << 20), TOO_LONG),
        (b"A: x" + b"\r\n x" * (1 << 18) + b"\r\n\r\n", TOO_LONG),
        (b"A: " + b"x" * (MAX_HEADER_OCTETS - 5) + b"\r\n continued\r\n\r\n", TOO_LONG),
        (b"A" * (1 << 20), TOO_LONG),
        (b"A " * (1 << 19), TOO_LONG),
        (b"A" + b" " * (1 << 20), TOO_LONG),
    ],
    ids=[
        "fields",
        "very-many-fields",
        "one-field",
        "no-end",
        "folds",
        "cut-at-a-fold",
        "name",
        "words",
        "spaces",
    ],
)
def test_a_limit_never_means_that_we_stop_looking(content: bytes, why: str) -> None:
    with pytest.raises(BadHeader) as refusal:
        scan(content)
    assert str(refusal.value) == why


def test_as_much_as_the_limits_allow() -> None:
    assert len(scan(b"A: x\r\n" * MAX_FIELDS + b"\r\n").fields) == MAX_FIELDS
    whole = b"A: " + b"x" * (MAX_HEADER_OCTETS - 5) + b"\r\n"
    assert scan(whole + b"\r\n" + b"x" * 1000).end == len(whole) == MAX_HEADER_OCTETS


def test_a_long_body_is_not_looked_at() -> None:
    assert scan(b"A: x\r\n\r\n" + b"\0" * (1 << 20)).end == 6


def test_fields_are_taken_out_and_all_else_stays_byte_for_byte() -> None:
    header = scan(LETTER)
    left = without(LETTER, header, {"received", "to"})
    assert left == b"From: Ann <ann@example.com>\r\nSubject:Tea\r\n\r\nFrom: nobody\r\n\r\nAt five.\r\n"
    assert without(LETTER, header, {"bcc"}) is LETTER


names = st.text("!#AbcFromZ~-0", min_size=1, max_size=10).map(str.encode)
runs = st.binary(max_size=30).map(lambda run: re.sub(rb"[\r\n\0\x0b\x0c\x1c-\x1e]", b"", run))
values = st.lists(runs, min_size=1, max_size=4).map(b"\r\n\t".join)
blanks = st.sampled_from([b"", b" ", b"\t "])
fields = st.builds(b"%b%b:%b\r\n".__mod__, st.tuples(names, blanks, values))
bodies = st.one_of(st.just(b""), st.binary(max_size=50).map(lambda body: b"\r\n" + body))


@given(st.lists(fields, max_size=12), bodies)
def test_the_fields_are_the_header_section(written: list[bytes], body: bytes) -> None:
    section = b"".join(written)
    header = scan(section + body)
    assert header.end == len(section)
    assert [field.name for field in header.fields] == [
        one.partition(b":")[0].strip(b" \t").decode().lower() for one in written
    ]
    assert [field.raw for field in header.fields] == [one.partition(b":")[2][:-2] for one in written]


@given(st.lists(fields, max_size=12), bodies, st.sets(names))
def test_taking_fields_out_leaves_exactly_the_others(
    written: list[bytes], body: bytes, chosen: set[bytes]
) -> None:
    content = b"".join(written) + body
    header = scan(content)
    names_ = {name.decode().lower() for name in chosen}
    kept = [one for one, field in zip(written, header.fields, strict=True) if field.name not in names_]
    assert without(content, header, names_) == b"".join(kept) + body


@given(st.binary(max_size=200))
def test_whatever_comes_is_understood_or_refused(content: bytes) -> None:
    try:
        header = scan(content)
    except BadHeader:
        return
    assert header.end == len(content) or content[header.end : header.end + 2] == b"\r\n"
    assert sum(len(field.name) + len(field.raw) + 3 for field in header.fields) <= header.end
