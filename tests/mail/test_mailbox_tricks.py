"""Whatever some reader could show as somebody else's address is refused."""

import pytest

from relay.mail.mailbox import BadMailbox, parse_mailbox
from tests.mail.tricks import LISTS, TRICKS


def test_there_are_many_tricks() -> None:
    assert len(set(TRICKS)) == len(TRICKS) >= 300


@pytest.mark.parametrize("value", TRICKS + LISTS, ids=repr)
def test_refused(value: bytes) -> None:
    with pytest.raises(BadMailbox) as refusal:
        parse_mailbox(value)
    reason = str(refusal.value)
    assert reason.isascii()
    assert reason.isprintable()
    assert 0 < len(reason) < 120
