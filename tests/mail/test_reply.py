"""Replies: one value in both directions, whose two codes cannot disagree."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.disposition import Disposition, disposition_of
from relay.mail.reply import Reply


def test_both_codes_have_one_class() -> None:
    reply = Reply(550, "7.1", "You may not send as x@example.com")
    assert reply.status == "5.7.1"
    assert str(reply) == "550 5.7.1 You may not send as x@example.com"
    assert reply.to_wire() == b"550 5.7.1 You may not send as x@example.com\r\n"


def test_every_line_of_a_reply_carries_the_codes() -> None:
    assert (
        Reply(250, "0.0", "one\ntwo\nthree").to_wire()
        == b"250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n"
    )


def test_the_greeting_has_no_enhanced_code() -> None:
    greeting = Reply(220, "", "mx.example.com ESMTP")
    assert greeting.to_wire() == b"220 mx.example.com ESMTP\r\n"
    assert greeting.status == "2.0.0"


def test_the_same_in_other_words() -> None:
    assert Reply(452, "3.1", "x").saying("y") == Reply(452, "3.1", "y")


@pytest.mark.parametrize(
    ("code", "lines", "reply"),
    [
        (250, ["2.1.5 Ok"], Reply(250, "1.5", "Ok")),
        (250, ["Ok"], Reply(250, "", "Ok")),
        (250, ["2.0.0"], Reply(250, "0.0", "")),
        (550, ["5.1.1 No such", "5.1.1 user"], Reply(550, "1.1", "No such\nuser")),
        (550, ["5.1.1 No such", "user"], Reply(550, "1.1", "No such\nuser")),
        (550, ["4.2.2 Mailbox full"], Reply(550, "2.2", "Mailbox full")),  # the code's own class is believed
        (550, ["5.1.1000 x"], Reply(550, "", "5.1.1000 x")),
        (550, ["5.1 x"], Reply(550, "", "5.1 x")),
        (550, ["\u0665.1.1 x"], Reply(550, "", "\u0665.1.1 x")),
        (550, ["10.5.1.1 refused you"], Reply(550, "", "10.5.1.1 refused you")),
        (550, [], Reply(550, "", "")),
        (550, [""], Reply(550, "", "")),
        (550, ["a\x1b[2Jb\tc\0"], Reply(550, "", "a?[2Jb?c?")),
    ],
)
def test_what_the_other_side_said_is_understood(code: int, lines: list[str], reply: Reply) -> None:
    assert Reply.parse(code, lines) == reply


def test_an_endless_answer_is_cut() -> None:
    assert len(Reply.parse(550, ["x" * 100_000]).text) == 2000


@given(st.integers(200, 599), st.lists(st.text(max_size=30), max_size=4))
def test_whatever_was_said_can_be_passed_on_in_whole_lines(code: int, said: list[str]) -> None:
    wire = Reply.parse(code, said).to_wire()
    lines = wire.split(b"\r\n")
    assert lines.pop() == b""
    assert all(
        line.startswith(str(code).encode()) and b"\r" not in line and b"\n" not in line for line in lines
    )
    assert [line[3:4] for line in lines] == [b"-"] * (len(lines) - 1) + [b" "]


def test_each_reply_goes_over_the_wire_as_it_is_itself() -> None:
    for code, enhanced, text in product((250, 550), ("", "1.1", "1.5"), ("Ok", "No")):
        mark = f"{code // 100}.{enhanced} " if enhanced else ""
        assert Reply(code, enhanced, text).to_wire() == f"{code} {mark}{text}\r\n".encode()


def test_a_reply_in_the_log_is_one_line() -> None:
    assert str(Reply(550, "1.1", "No such\nuser")) == "550 5.1.1 No such user"


@pytest.mark.parametrize(
    ("code", "disposition"),
    [
        (250, Disposition.DELIVERED),
        (251, Disposition.DELIVERED),
        (299, Disposition.DELIVERED),
        (421, Disposition.DEFERRED),
        (450, Disposition.DEFERRED),
        (500, Disposition.FAILED),
        (550, Disposition.FAILED),
        (599, Disposition.FAILED),
        (100, Disposition.DEFERRED),
        (199, Disposition.DEFERRED),
        (300, Disposition.DEFERRED),
        (354, Disposition.DEFERRED),
        (600, Disposition.DEFERRED),
        (0, Disposition.DEFERRED),
    ],
)
def test_only_2xx_delivers_and_only_5xx_fails(code: int, disposition: Disposition) -> None:
    assert disposition_of(Reply(code, "", "")) is disposition
