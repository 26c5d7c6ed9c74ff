"""What one process found out of an upstream, as another goes by it."""

from collections.abc import Iterable
from datetime import timedelta
from random import Random

from relay.delivery.standing import FIRST_BACKOFF, Standing
from relay.mail.address import Address
from relay.mail.reply import Reply
from relay.routing.standing import Stand, State
from tests.kit.clock import NOON

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
REFUSED = Reply(451, "4.1", "Cannot connect: connection refused")


def down(at: timedelta, until: timedelta, owner: str = "n/1") -> Stand:
    return Stand("U1", owner, State.DOWN, NOON + at, NOON + until, str(REFUSED))


def works(at: timedelta, owner: str = "n/2") -> Stand:
    return Stand("U1", owner, State.WORKS, NOON + at)


def ours(*stands: Stand, now: timedelta) -> tuple[Standing, Stand | None]:
    """A standing that knows nothing of its own, and what it heeded at *now* of *stands*."""
    standing = Standing(Random(1))
    return standing, standing.heeds(stands, NOON + now)


def test_what_is_down_elsewhere_is_left_alone_as_long_and_then_probed() -> None:
    told = down(SECOND, until=MINUTE)
    standing, heeded = ours(told, now=2 * SECOND)
    assert heeded is told
    assert (standing.since, standing.until, standing.reason) == (told.since, told.until, told.reason)
    assert standing.is_down(NOON + 59 * SECOND)
    assert not standing.is_up
    assert not standing.is_down(NOON + MINUTE)
    assert standing.heeds([told], NOON + MINUTE) is None


def test_a_probe_of_our_own_decides_whatever_the_other_says_meanwhile() -> None:
    standing, _ = ours(down(SECOND, until=MINUTE), now=2 * SECOND)
    again = down(SECOND, until=3 * MINUTE)
    assert standing.heeds([again], NOON + MINUTE) is None
    assert standing.works(NOON + MINUTE)
    assert standing.heeds([again], NOON + MINUTE) is None, "it works here: the trouble is the other's"
    standing, _ = ours(down(SECOND, until=MINUTE), now=2 * SECOND)
    until = standing.went_down(REFUSED, NOON + MINUTE)
    assert FIRST_BACKOFF <= until - NOON - MINUTE <= 1.2 * FIRST_BACKOFF


def test_what_worked_here_since_then_is_not_down() -> None:
    standing = Standing(Random(1))
    standing.works(NOON + 2 * SECOND)
    assert standing.heeds([down(SECOND, until=MINUTE)], NOON + 3 * SECOND) is None
    assert standing.is_up
    assert standing.heeds([down(3 * SECOND, until=MINUTE)], NOON + 3 * SECOND) is not None


def test_what_works_again_elsewhere_is_probed_at_once() -> None:
    standing = Standing(Random(1))
    standing.went_down(REFUSED, NOON + SECOND)
    assert standing.heeds([works(at=SECOND)], NOON + 2 * SECOND) is None, "that is older"
    assert standing.heeds([works(at=2 * SECOND)], NOON + 3 * SECOND) is not None
    assert not standing.is_down(NOON + 3 * SECOND)
    assert not standing.is_up, "one delivery finds out"
    standing.went_down(REFUSED, NOON + 4 * SECOND)
    assert standing.heeds([works(at=2 * SECOND)], NOON + 5 * SECOND) is None, "once"


def test_what_was_found_out_before_the_upstream_was_changed_means_nothing() -> None:
    changed = Standing(Random(1), NOON + 2 * SECOND)
    assert changed.heeds([down(SECOND, until=MINUTE)], NOON + 3 * SECOND) is None
    assert changed.heeds([down(3 * SECOND, until=MINUTE)], NOON + 3 * SECOND) is not None


def test_of_several_the_newest_word_counts() -> None:
    several: Iterable[Stand] = [down(SECOND, until=MINUTE), works(2 * SECOND)]
    assert ours(*several, now=3 * SECOND)[1] is None
    later = [down(3 * SECOND, until=MINUTE), works(2 * SECOND)]
    assert ours(*later, now=3 * SECOND)[1] == later[0]


def test_of_what_is_over_or_about_limits_nothing_is_heeded() -> None:
    spent = Stand("U1", "n/1", State.SPENT, NOON, NOON + MINUTE, "5 messages a minute")
    assert ours(spent, down(SECOND, until=2 * SECOND), now=2 * SECOND)[1] is None


def test_nothing_found_out_while_the_clock_was_ahead_holds_anybody_up() -> None:
    ahead = timedelta(days=1)
    standing = Standing(Random(1))
    standing.went_down(REFUSED, NOON + ahead)
    assert standing.is_down(NOON + ahead)
    assert not standing.is_down(NOON), "the clock was set back"
    assert not standing.is_up, "a probe decides"
    assert ours(down(ahead, until=ahead + MINUTE), now=SECOND)[1] is None
    standing.went_down(REFUSED, NOON)
    assert standing.is_down(NOON + SECOND)
    assert not standing.is_down(NOON + MINUTE)


def test_of_very_many_senders_who_are_turned_away_only_some_are_remembered() -> None:
    """As where every message has a sender of its own (variable envelope return paths)."""
    standing = Standing(Random(1))
    for batch in range(20):
        for number in range(50):
            standing.turns_away(Address.parse(f"bounce-{batch}-{number}@example.com"))
        assert standing.works(NOON, Address.parse("ann@example.com")) is False
    assert len(standing.shunned) == 100
    assert standing.is_unwelcome(Address.parse("bounce-19-7@example.com")), "the newest are"
