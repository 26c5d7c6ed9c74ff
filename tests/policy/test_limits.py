"""Size, recipients and loops."""

from typing import Any

import pytest

from relay.policy import Stage, decide
from relay.policy.checks.loop import does_not_loop
from relay.policy.checks.recipients import within_recipient_count
from relay.policy.checks.size import fits_size
from relay.policy.decision import ACCEPT, Reject
from relay.policy.submission import Limits, lower
from tests.policy.makers import submission

FROM = b"From: ann@example.com\r\n"


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [(None, None, None), (1, None, 1), (None, 2, 2), (1, 2, 1), (2, 1, 1), (0, 1, 0)],
)
def test_the_lower_of_two_limits(one: int | None, other: int | None, least: int | None) -> None:
    assert lower(one, other) == least


@pytest.mark.parametrize(
    ("of_user", "of_server", "octets", "fits"),
    [
        (None, None, 1 << 40, True),
        (None, 1000, 1000, True),
        (None, 1000, 1001, False),
        (500, 1000, 500, True),
        (500, 1000, 501, False),
        (2000, 1000, 1001, False),
        (500, None, 501, False),
    ],
)
@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.DATA])
def test_a_message_must_fit_both_limits_as_declared_and_as_it_came(
    stage: Stage, of_user: int | None, of_server: int | None, octets: int, fits: bool
) -> None:
    facts: dict[str, Any] = (
        {"size_declared": octets} if stage is Stage.MAIL else {"octets": octets, "header": FROM}
    )
    decision = decide(
        stage,
        submission(
            user={"limits": Limits(max_message_bytes=of_user)},
            limits=Limits(max_message_bytes=of_server),
            **facts,
        ),
    )
    assert (decision == ACCEPT) is fits
    if isinstance(decision, Reject):
        least = lower(of_user, of_server)
        assert (
            str(decision.reply)
            == f"552 5.3.4 The message is larger than {least} octets, the most that is taken here"
        )
        assert decision.rule == "fits_size"


def test_a_size_that_was_not_declared_is_asked_for_later() -> None:
    assert fits_size(submission(limits=Limits(max_message_bytes=1))) == ACCEPT


def test_what_came_counts_more_than_what_was_declared() -> None:
    limits = Limits(max_message_bytes=1000)
    assert isinstance(fits_size(submission(limits=limits, octets=1001, size_declared=10)), Reject)
    assert fits_size(submission(limits=limits, octets=999, size_declared=1001)) == ACCEPT


@pytest.mark.parametrize(
    ("of_user", "of_server", "recipients", "fits"),
    [
        (None, None, 5000, True),
        (None, 100, 100, True),
        (None, 100, 101, False),
        (5, 100, 5, True),
        (5, 100, 6, False),
    ],
)
def test_one_recipient_too_many_is_to_come_again_later(
    of_user: int | None, of_server: int | None, recipients: int, fits: bool
) -> None:
    decision = within_recipient_count(
        submission(
            recipients=recipients,
            user={"limits": Limits(max_recipients=of_user)},
            limits=Limits(max_recipients=of_server),
        )
    )
    assert (decision == ACCEPT) is fits
    if isinstance(decision, Reject):
        assert str(decision.reply).startswith("452 4.5.3 ")


@pytest.mark.parametrize(("hops", "goes_on"), [(0, True), (100, True), (101, False)])
def test_a_message_that_passed_too_many_servers_goes_in_circles(hops: int, goes_on: bool) -> None:
    header = b"RECEIVED : by x; now\r\n" * hops + FROM
    decision = does_not_loop(submission(header=header, limits=Limits(max_received_fields=100)))
    assert (decision == ACCEPT) is goes_on
    if isinstance(decision, Reject):
        assert str(decision.reply).startswith("554 5.4.6 ")


def test_without_a_limit_nothing_loops() -> None:
    assert does_not_loop(submission(header=b"Received: x\r\n" * 1000 + FROM)) == ACCEPT
