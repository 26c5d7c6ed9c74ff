"""How the checks' answers become one decision."""

import pytest

from relay.mail.address import Address
from relay.mail.reply import Reply
from relay.policy import CHECKS, Stage
from relay.policy.decision import ACCEPT, Accept, Decision, Hold, Reject, Rewrite, SenderMismatch, stricter

A, B = (SenderMismatch(Address.parse(text)) for text in ("a@example.com", "b@example.com"))
ANN = Address.parse("ann@example.com")
NO = Reply(550, "7.1", "No")


@pytest.mark.parametrize(
    ("one", "other", "decision"),
    [
        (ACCEPT, ACCEPT, ACCEPT),
        (ACCEPT, Accept((A,)), Accept((A,))),
        (Accept((A,)), Accept((B,)), Accept((A, B))),
        (Accept((A,)), Accept((A,)), Accept((A,))),
        (ACCEPT, Hold("x", (A,)), Hold("x", (A,))),
        (Rewrite(ANN, (A,)), Hold("x", (B,)), Hold("x", (B, A))),
        (Rewrite(ANN, (A,)), Accept((B,)), Rewrite(ANN, (A, B))),
        (Hold("x", (A,)), Reject(NO, "rule"), Reject(NO, "rule", (A,))),
        (Hold("x"), Hold("y"), Hold("x")),
    ],
)
def test_the_stricter_decides_with_the_notices_of_both(
    one: Decision, other: Decision, decision: Decision
) -> None:
    assert stricter(one, other) == decision


def test_every_stage_has_its_checks() -> None:
    assert set(CHECKS) == set(Stage)
    assert all(CHECKS.values())
