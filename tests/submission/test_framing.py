"""What one connection's bytes mean does not depend on how the network cut them."""

import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.mail.lines import dot_stuffed
from relay.submission.framing import MAX_LINE_OCTETS, Content, Frame, Framer, Line, LineTooLong

# The octets that could end a message, or nearly do, and some that could not
TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n..", b"a", b"\0", b"\n.\n", b"\r.\r"]),
    max_size=14,
).map(b"".join)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def frames(framer: Framer, chunks: list[bytes]) -> list[Frame]:
    found: list[Frame] = []
    for chunk in chunks:
        framer.feed(chunk)
        while (frame := framer.next()) is not None:
            found.append(frame)
    return found


@given(TRICKY, CUTS)
def test_only_crlf_dot_crlf_ends_a_message_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    data = body + b"\r\n.\r\nNOOP\r\n"
    # The line end of the DATA command is the first CRLF that the end mark may use
    end = (b"\r\n" + data).find(b"\r\n.\r\n")
    content, rest = data[:end], data[end + 3 :]
    framer = Framer()
    framer.expect_content(1000)
    first, *others = frames(framer, pieces(data, cuts))
    assert first == Content(content, len(content))
    assert others == frames(Framer(), [rest])


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b and not b.endswith(b"\r"))), CUTS)
def test_lines_come_out_as_they_went_in(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    assert frames(Framer(), pieces(data, cuts)) == [Line(line) for line in lines]


def test_a_bare_lf_ends_a_command_but_a_bare_cr_does_not() -> None:
    assert frames(Framer(), [b"NOOP\nNOOP\rX\r\n"]) == [Line(b"NOOP"), Line(b"NOOP\rX")]


@given(CUTS)
def test_a_line_too_long_is_told_once_and_its_tail_is_no_command(cuts: list[int]) -> None:
    data = b"x" * (MAX_LINE_OCTETS + 50) + b"QUIT\r\nNOOP\r\n"
    spread = [cut * MAX_LINE_OCTETS // 50 for cut in cuts]
    assert frames(Framer(), pieces(data, spread)) == [LineTooLong(), Line(b"NOOP")]


def test_a_line_of_the_greatest_length_is_taken() -> None:
    assert frames(Framer(), [b"x" * MAX_LINE_OCTETS + b"\n"]) == [Line(b"x" * MAX_LINE_OCTETS)]


@given(st.integers(0, 30), CUTS)
def test_too_large_a_message_is_read_to_its_end_and_none_of_it_kept(limit: int, cuts: list[int]) -> None:
    body = b"0123456789\r\n" * 4
    framer = Framer()
    framer.expect_content(limit)
    content, line = frames(framer, pieces(body + b".\r\nRSET\r\n", cuts))
    assert isinstance(content, Content)
    assert content.octets is None
    assert line == Line(b"RSET")


@given(CUTS)
def test_a_message_of_the_greatest_size_is_taken_however_its_end_is_cut(cuts: list[int]) -> None:
    body = b"0123456789\r\n"
    framer = Framer()
    framer.expect_content(len(body))
    assert frames(framer, pieces(body + b".\r\n", cuts)) == [Content(body, len(body))]
    framer.expect_content(len(body) - 1)
    assert frames(framer, pieces(body + b".\r\n", cuts)) == [Content(None, len(body))]


@given(st.lists(st.sampled_from([b".", b".x", b"x", b""]), max_size=9), st.integers(0, 30), CUTS)
def test_dots_that_were_added_do_not_count(lines: list[bytes], limit: int, cuts: list[int]) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    framer = Framer()
    framer.expect_content(limit)
    stuffed = dot_stuffed(body)
    (content,) = frames(framer, pieces(stuffed + b".\r\n", cuts))
    assert content == Content(stuffed if len(body) <= limit else None, len(stuffed))


def test_memory_does_not_grow_with_a_message_that_is_not_kept() -> None:
    framer = Framer()
    framer.expect_content(1000)
    for _ in range(1000):
        framer.feed(b"x" * 1000)
        assert framer.next() is None
        assert framer.buffered == 0
    assert framer.size == 1_000_000


def test_a_message_in_tiny_packets_takes_no_more_memory_than_one_in_large_ones() -> None:
    tracemalloc.start()
    framer = Framer()
    framer.expect_content(1_000_000)
    for number in range(100_000):
        framer.feed(b"%05d" % number)
        assert framer.next() is None
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1.2 * framer.size
    framer.feed(b"\r\n.\r\n")
    assert framer.next() == Content(b"".join(b"%05d" % n for n in range(100_000)) + b"\r\n", 500_002)


def test_an_empty_message_is_empty() -> None:
    framer = Framer()
    framer.expect_content(10)
    assert frames(framer, [b".", b"\r", b"\n"]) == [Content(b"", 0)]


def test_what_was_heard_before_tls_is_forgotten() -> None:
    framer = Framer()
    framer.feed(b"STARTTLS\r\nMAIL FROM:<x@y>\r\n")
    assert framer.next() == Line(b"STARTTLS")
    framer.discard()
    framer.feed(b"EHLO x\r\n")
    assert framer.next() == Line(b"EHLO x")
