"""What is said of quotas, and to whom."""

import pytest

from relay.mail.address import Address
from relay.notify.announce import announcements
from relay.queue.items import Notice
from relay.queue.metered import KIND
from tests.kit.clock import NOON
from tests.kit.makers import new_id

USER, OPERATOR = Address.parse("ann@example.com"), Address.parse("op@example.com")


@pytest.mark.parametrize(
    ("outcome", "words"), [("near", "four fifths"), ("refuse", "refused for now"), ("hold", "is held")]
)
def test_user_and_operator_are_told(outcome: str, words: str) -> None:
    facts = {"user": "ann", "quota": "100 messages an hour", "outcome": outcome, "client": "192.0.2.1"}
    letters = announcements(
        Notice(new_id(NOON), KIND, "01USER", facts), contact=USER, operator=OPERATOR, hostname="relay.test"
    )
    assert [each.to for each in letters] == [USER, OPERATOR]
    for each in letters:
        assert "ann" in each.subject
        assert words in " ".join(each.text.split())
        assert "before the next hour begins" in each.text
