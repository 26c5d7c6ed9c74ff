"""The sender-domain notification, from the decision to the words."""

from datetime import timedelta

import pytest

from relay.ids import id_source
from relay.mail.address import Address
from relay.mail.reply import Reply
from relay.notify.announce import announcements
from relay.notify.mismatch import KIND, MOST_OF_ONE_USER, Strangers, sender_mismatch_notice
from relay.policy.decision import Accept, Decision, Hold, Omit, Reject, Rewrite, SenderMismatch
from relay.policy.grants import Grants
from relay.policy.submission import User
from relay.queue.items import Notice
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import make_session

ANN = User("01USER", "ann", Grants())
USER, OPERATOR = Address.parse("ann@example.com"), Address.parse("op@example.com")
REFUSED = Reject(Reply(550, "7.1", "No"), "rule")


def notice(sender: str = "boss@bank.example", decision: Decision = REFUSED, helo: str = "laptop") -> Notice:
    return sender_mismatch_notice(
        ANN,
        SenderMismatch(Address.parse(sender)),
        session=make_session(helo=helo),
        decision=decision,
        now=NOON,
        new_id=id_source(),
        settings=Settings(notice_interval=timedelta(hours=2)),
    )


def test_it_is_told_once_per_user_and_sender_in_a_while() -> None:
    assert notice().key == notice("BOSS@Bank.example").key
    assert notice("boss@bücher.example").key == notice("boss@xn--bcher-kva.example").key
    assert notice().key != notice("other@bank.example").key
    assert notice().interval == timedelta(hours=2)
    assert notice().kind == KIND


def test_of_thousands_of_senders_the_first_are_told_and_in_the_next_while_some_more() -> None:
    strangers, hour = Strangers(), timedelta(hours=1)
    senders = [Address.parse(f"list+{number}@bank.example") for number in range(2 * MOST_OF_ONE_USER)]
    for _ in range(2):
        few = [sender for sender in senders if strangers.is_among_few(ANN, sender, NOON, hour)]
        assert few == senders[:MOST_OF_ONE_USER]
    assert strangers.is_among_few(User("02USER", "bob", Grants()), senders[-1], NOON, hour)
    for later in (NOON + hour, NOON):  # also when the clock is set back
        assert strangers.is_among_few(ANN, senders[-1], later, hour)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (REFUSED, "The message was refused"),
        (Hold("x"), "is held: it is not sent until an operator decides"),
        (Omit(), "sent without that sender"),
        (Rewrite(USER), "with the user's default address in place of that sender"),
        (Accept(), "The message was sent as it was"),
    ],
)
def test_it_says_what_became_of_the_message(decision: Decision, said: str) -> None:
    (told,) = announcements(notice(decision=decision), contact=USER, operator=None, hostname="mx.example.com")
    assert said in told.text


def test_user_and_operator_are_each_told_in_their_own_words() -> None:
    to_user, to_operator = announcements(notice(), contact=USER, operator=OPERATOR, hostname="mx.example.com")
    assert (to_user.to, to_operator.to) == (USER, OPERATOR)
    assert to_user.subject == to_operator.subject == "ann tried to send mail as boss@bank.example"
    for told in (to_user, to_operator):
        assert "mx.example.com" in told.text
        assert "Mon, 02 Mar 2026 12:00:00 +0000" in told.text
        assert "192.0.2.7" in told.text
    assert "somebody knows your password" in to_user.text
    assert "relay user edit" in to_operator.text


@pytest.mark.parametrize("contact", [OPERATOR, Address.parse(f"{OPERATOR}".upper())])
def test_one_address_gets_one_letter_however_it_is_written(contact: Address) -> None:
    (told,) = announcements(notice(), contact=contact, operator=OPERATOR, hostname="mx")
    assert "relay user edit" in told.text


def test_nobody_to_tell_is_nothing_to_write() -> None:
    assert announcements(notice(), contact=None, operator=None, hostname="mx") == []


def test_a_kind_of_notice_that_nobody_knows_is_nothing_to_write() -> None:
    unknown = Notice("01NOTICE", "of-another-version", None, {})
    assert announcements(unknown, contact=USER, operator=OPERATOR, hostname="mx") == []


def test_what_a_client_calls_itself_moves_nothing_in_the_letter() -> None:
    (told,) = announcements(notice(helo="x\r\n\r\nBuy {now}\x1b"), contact=USER, operator=None, hostname="mx")
    assert "The client calls itself: x????Buy {now}?\n" in told.text
