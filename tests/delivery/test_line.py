"""Who is next: the most urgent, but never more of one destination than may go at a time."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.hands import Held
from relay.delivery.line import Line
from relay.mail.priority import Priority
from relay.queue.items import Claimed, DeliveryKey, Lease, Origin
from tests.delivery.makers import envelope_to
from tests.kit.clock import NOON


def held(number: int, to: str = "", *, rank: int = 0, priority: Priority = Priority.NORMAL) -> Held:
    """A delivery to somebody at the domain *to*; the lower *rank*, the more urgent."""
    facts: dict[str, Any] = {"accepted_at": NOON, "expires_at": NOON, "origin": Origin.SUBMISSION}
    claimed = Claimed(
        key=DeliveryKey(f"M{number}", 1),
        number=1,
        route_id="R1",
        priority=priority,
        rank_at=NOON + timedelta(seconds=rank),
        lease=Lease("node/0", NOON),
        user_id=None,
        octets=0,
        envelope=envelope_to(f"bob@{to or 'example.net'}"),
        **facts,
    )
    return Held(claimed, is_hot=False, until=NOON, destination=to)


def go(line: Line, at_most: int) -> list[Held]:
    """Let go whoever may."""
    gone = []
    while line.first(at_most) is not None:
        gone.append(line.go())
    return gone


def test_where_it_goes_may_be_no_matter() -> None:
    line = Line()
    those = [held(number, rank=-number) for number in range(5)]
    for each in those:
        line.put(each)
    assert go(line, 1) == those[::-1]


def test_those_beyond_the_share_step_aside_and_come_back_one_by_one() -> None:
    line = Line()
    slow = [held(number, "slow.example", rank=number) for number in range(4)]
    other = held(9, "other.example", rank=9)
    for each in [*slow, other]:
        line.put(each)
    assert go(line, 1) == [slow[0], other]
    assert (line.ready, line.aside, len(line)) == (0, 3, 3)
    line.put(urgent := held(8, "slow.example", rank=-1))
    assert go(line, 1) == []
    line.done(other.destination)
    assert go(line, 1) == []
    line.done(slow[0].destination)
    assert go(line, 1) == [urgent]


def test_a_share_that_grew_is_used_by_and_by() -> None:
    line = Line()
    for number in range(9):
        line.put(held(number, "slow.example"))
    going = go(line, 1)
    for most in (2, 3, 3):
        line.done(going.pop().destination)
        going += go(line, 3)
        assert len(going) == most


def test_level_1_has_a_place_of_its_own() -> None:
    line = Line()
    for number in range(3):
        line.put(held(number, "slow.example"))
    first = [held(number, "slow.example", rank=-9, priority=Priority.VERY_HIGH) for number in (7, 8)]
    assert len(go(line, 1)) == 1
    for each in first:
        line.put(each)
    assert go(line, 1) == [first[0]]


def test_the_least_urgent_are_shed_wherever_they_stand() -> None:
    line = Line()
    those = [held(number, "slow.example", rank=number) for number in range(4)]
    for each in those:
        line.put(each)
    go(line, 1)
    assert line.shed(2) == those[2:]
    assert line.empty() == [those[1]]
    assert line.shed(5) == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("go"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("done"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("shed"), st.integers(0, 3), st.just(0)),
    ),
    max_size=60,
)


@given(steps)
def test_nobody_is_lost_and_no_destination_has_more_than_its_share(steps: list[tuple[str, Any, int]]) -> None:
    line, going, out, put = Line(), list[Held](), 0, 0
    for what, which, rank in steps:
        if what == "put":
            line.put(held(put, f"{which}.example", rank=rank))
            put += 1
        elif what == "go":
            for one in go(line, which):
                going.append(one)
                assert sum(each.destination == one.destination for each in going) <= which
        elif what == "done" and going:
            line.done(going.pop(which % len(going)).destination)
            out += 1
        elif what == "shed":
            out += len(line.shed(which))
        assert len(line) + len(going) + out == put
    for one in going:
        line.done(one.destination)
    left = line.empty()
    assert [one.claimed.rank_at for one in left] == sorted(one.claimed.rank_at for one in left)
    assert len(left) + len(going) + out == put
