from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from relay.db.language import Language, cut
from relay.mail.priority import Priority
from tests.kit.clock import NOON


@dataclass(frozen=True, slots=True)
class Pair:
    left: object
    right: object


PLAIN = Language()
RICH = Language([Pair, Priority, timedelta])

SAID: list[Any] = [
    Pair(1, Pair("a", b"b")),
    {"now": NOON, "later": timedelta(1)},
    [Priority.HIGH, Priority.LOW],
    frozenset({Priority.HIGH}),
    Pair,
    None,
]


def heard(language: Language, *frames: bytes) -> list[list[Any]]:
    return [language.read(frame) for frame in cut(bytearray(b"".join(frames)))]


@pytest.mark.parametrize("language", [PLAIN, RICH])
def test_what_is_said_is_heard_whether_its_words_are_known_or_not(language: Language) -> None:
    assert heard(language, language.framed(SAID), language.framed([])) == [SAID, []]


def test_known_words_are_not_named() -> None:
    assert b"Pair" in PLAIN.framed(SAID)
    assert b"Pair" not in RICH.framed(SAID)
    assert b"Priority" not in RICH.framed(SAID)


def test_each_frame_is_understood_by_itself() -> None:
    frames = [RICH.framed([Pair("same", number), "same"]) for number in range(100)]
    assert heard(RICH, *reversed(frames)) == [[Pair("same", number), "same"] for number in range(99, -1, -1)]
    assert len({len(frame) for frame in frames}) == 1  # nothing of one is remembered for the next


def test_one_thing_said_twice_in_a_frame_is_one_thing() -> None:
    thing = Pair("a", "b")
    [[one, other]] = heard(RICH, RICH.framed([thing, thing]))
    assert one is other


def test_what_cannot_be_said_leaves_no_trace() -> None:
    with pytest.raises(AttributeError):
        RICH.framed([Pair(1, 2), lambda: None])
    assert heard(RICH, RICH.framed([Pair(3, 4)])) == [[Pair(3, 4)]]


def test_a_frame_is_cut_off_once_it_is_whole() -> None:
    frame = PLAIN.framed(["word"])
    arrived = bytearray()
    for octet in frame + frame[:5]:
        arrived.append(octet)
        if frames := cut(arrived):
            assert frames == [frame[8:]]
    assert arrived == frame[:5]
