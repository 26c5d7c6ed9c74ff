"""Reading replies: what is well formed is read whatever way it is cut; what is not is never believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.transports.replies import MAX_REPLY_OCTETS, Answer, ReplyReader

CONVERSATION = (
    b"250 2.1.0 Ok\r\n"
    b"250-first line\r\n250-\r\n250 2.1.5 last line\r\n"
    b"354\r\n"
    b"550-5.1.1 No\r\n550 5.1.1 such user\r\n"
    b"250 \r\n"
)
ANSWERS = [
    Answer(250, b"2.1.0 Ok"),
    Answer(250, b"first line\n\n2.1.5 last line"),
    Answer(354, b""),
    Answer(550, b"5.1.1 No\n5.1.1 such user"),
    Answer(250, b""),
]


@pytest.mark.parametrize("cut", range(len(CONVERSATION) + 1))
def test_replies_may_be_cut_in_two_anywhere(cut: int) -> None:
    reader = ReplyReader()
    assert reader.feed(CONVERSATION[:cut]) + reader.feed(CONVERSATION[cut:]) == ANSWERS
    assert not reader.is_amid
    assert reader.fault is None


def test_replies_may_come_octet_by_octet() -> None:
    reader = ReplyReader()
    answers = [answer for octet in CONVERSATION for answer in reader.feed(bytes([octet]))]
    assert answers == ANSWERS


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=6))
def test_replies_may_be_cut_in_any_number_of_pieces(cuts: list[int]) -> None:
    reader, answers, start = ReplyReader(), [], 0
    for end in [*sorted(cuts), len(CONVERSATION)]:
        answers += reader.feed(CONVERSATION[start:end])
        start = end
    assert answers == ANSWERS


def test_an_enhanced_code_is_read_and_a_contradicting_one_is_not_believed() -> None:
    assert Answer(550, b"5.1.1 No").to_reply().enhanced == "1.1"
    assert Answer(250, b"2.0.0 Ok\n2.0.0 queued").to_reply().text == "Ok\nqueued"


def test_an_old_server_may_end_its_lines_with_a_bare_lf() -> None:
    assert ReplyReader().feed(b"250-a\n250 b\n") == [Answer(250, b"a\nb")]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\r\n",
        b"OK\r\n",
        b"25 OK\r\n",
        b"2500 OK\r\n",
        b"250OK\r\n",
        b"250=OK\r\n",
        b"150 wait\r\n",
        b"650 what\r\n",
        b"+250 OK\r\n",
        b" 250 OK\r\n",
        b"250-one\r\n550 two\r\n",
        b"250-one\r\nHTTP/1.1 200 OK\r\n",
        "\uff12\uff15\uff10 OK\r\n".encode(),
        b"\x15\x03\x01\x00\x02\x02\x46\n",
    ],
)
def test_what_is_not_a_reply_is_a_fault(nonsense: bytes) -> None:
    reader = ReplyReader()
    assert reader.feed(b"250 before\r\n" + nonsense + b"250 after\r\n") == [Answer(250, b"before")]
    assert reader.fault
    assert reader.feed(b"250 later\r\n") == []


@pytest.mark.parametrize("endless", [b"250 " + b"x" * 1000, b"250-x\r\n" * 100])
def test_a_reply_without_end_is_not_collected_for_ever(endless: bytes) -> None:
    reader = ReplyReader()
    for _ in range(MAX_REPLY_OCTETS // 100):
        assert reader.feed(endless) == []
    assert reader.fault


@given(st.binary(max_size=200))
def test_no_octets_raise(octets: bytes) -> None:
    reader = ReplyReader()
    for answer in reader.feed(octets):
        answer.to_reply()
