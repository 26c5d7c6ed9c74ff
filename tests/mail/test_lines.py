"""Line ends and dots: what is sent is what was handed in."""

import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.lines import dot_stuffed, dot_stuffed_pieces, dot_unstuffed, has_bare, normalised

pieces = st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\0"])
tricky = st.lists(pieces, max_size=20).map(b"".join)
contents = st.one_of(tricky, st.binary(max_size=60))


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        (b"", b""),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb", b"a\r\n\r\nb"),
        (b"a\n\rb", b"a\r\n\r\nb"),
        (b"a\r\n\nb", b"a\r\n\r\nb"),
        (b"\r", b"\r\n"),
        (b"\n", b"\r\n"),
        (b"\n.\n", b"\r\n.\r\n"),
    ],
)
def test_bare_ends_become_crlf(given_: bytes, made: bytes) -> None:
    assert normalised(given_) == made


def test_what_is_right_is_not_even_copied() -> None:
    content = b"a\r\nb\r\n"
    assert normalised(content) is content
    assert dot_stuffed(content) is content
    assert dot_unstuffed(content) is content
    assert next(dot_stuffed_pieces(content, 100)) is content


def test_many_bare_ends_take_little_memory() -> None:
    content = b"\n" * 1_000_000
    tracemalloc.start()
    assert len(normalised(content)) == 2_000_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 6_000_000


@given(contents)
def test_settled_line_ends_stay_settled(content: bytes) -> None:
    settled = normalised(content)
    assert not has_bare(settled)
    assert normalised(settled) == settled
    assert settled == re.sub(rb"\r\n|\r|\n", b"\r\n", content)


@given(contents)
def test_a_bare_end_is_found_wherever_it_stands(content: bytes) -> None:
    assert has_bare(content) == bool(re.search(rb"\r(?!\n)|(?<!\r)\n", content))


@given(contents)
def test_dots_added_are_the_dots_taken_away(content: bytes) -> None:
    assert dot_unstuffed(dot_stuffed(content)) == content


@given(contents)
def test_no_line_of_what_is_sent_is_a_dot_alone(content: bytes) -> None:
    sent = b"\r\n" + dot_stuffed(normalised(content)) + b"\r\n"
    assert b"\r\n.\r\n" not in sent


@given(contents, st.integers(2, 9))
def test_in_pieces_the_same_is_sent(content: bytes, most: int) -> None:
    assert b"".join(dot_stuffed_pieces(content, most)) == dot_stuffed(content)
    assert all(0 < len(piece) <= 2 * most for piece in dot_stuffed_pieces(content, most))


@pytest.mark.parametrize("octets", [128 * 1024 - 2, 128 * 1024 - 1, 128 * 1024])
def test_a_line_end_where_one_look_ends_and_the_next_begins_is_seen_whole(octets: int) -> None:
    assert not has_bare(b"x" * octets + b"\r\n" + b"x")
    assert has_bare(b"x" * octets + b"\rx")
    assert has_bare(b"x" * octets + b"\nx")
