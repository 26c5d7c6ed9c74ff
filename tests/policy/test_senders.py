"""As whom a message is sent: the envelope, From, Sender and their resent kin."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.policy import Stage, decide
from relay.policy.decision import (
    ACCEPT,
    Accept,
    Decision,
    Hold,
    Mismatch,
    Omit,
    Reject,
    Rewrite,
    SenderMismatch,
)
from relay.policy.grants import Grants
from relay.policy.mismatch import MOST_NOTICES
from tests.mail.tricks import LISTS, TRICKS
from tests.policy.makers import submission

FOREIGN = SenderMismatch(Address.parse("boss@bank.example"))
MINE = b"From: Ann <ann@example.com>\r\n"


def at_data(header: bytes, **facts: Any) -> Decision:
    return decide(Stage.DATA, submission(header=header + b"Subject: x\r\n\r\n", **facts))


class TestTheEnvelope:
    @pytest.mark.parametrize(
        "sender",
        ["ann@example.com", "ANN@EXAMPLE.COM", '"ann"@example.com', "x@mine.example", "x@a.mine.example"],
    )
    def test_a_granted_sender_passes(self, sender: str) -> None:
        assert decide(Stage.MAIL, submission(sender=sender)) == ACCEPT

    def test_the_null_sender_passes_for_its_from_is_asked_about_later(self) -> None:
        assert decide(Stage.MAIL, submission(sender="")) == ACCEPT
        assert at_data(MINE, sender="") == ACCEPT
        assert isinstance(at_data(b"From: boss@bank.example\r\n", sender=""), Reject)

    @pytest.mark.parametrize(
        "sender", ["boss@bank.example", "bob@example.com", "x@xmine.example", "mine@example"]
    )
    def test_a_foreign_sender_is_refused_by_name(self, sender: str) -> None:
        decision = decide(Stage.MAIL, submission(sender=sender))
        assert isinstance(decision, Reject)
        assert str(decision.reply) == f"550 5.7.1 You may not send as {sender}"
        assert decision.rule == "sender_is_granted"
        assert decision.notices == (SenderMismatch(Address.parse(sender)),)


class TestTheHeader:
    def test_of_thousands_of_foreign_senders_only_some_are_worth_a_notice(self) -> None:
        named = ", ".join(f"boss@bank{number}.example" for number in range(100)).encode()
        decision = at_data(MINE + b"Resent-From: " + named + b"\r\n")
        assert isinstance(decision, Reject)
        assert [str(notice.sender) for notice in decision.notices] == [
            f"boss@bank{number}.example" for number in range(MOST_NOTICES)
        ]

    @pytest.mark.parametrize(
        "header",
        [
            MINE,
            b"from: ann@example.com\r\n",
            b"FROM : ANN@EXAMPLE.COM\r\n",
            b"From:\r\n\tAnn\r\n <ann@example.com>\r\n",
            b'From: "Smith, Ann" <ann@example.com>\r\n',
            b"From: =?utf-8?q?M=C3=BCller?= <ann@example.com>\r\n",
            b"From: ann@example.com (Ann)\r\n",
            b"From: x@mine.example\r\nSender: ann@example.com\r\n",
            MINE + b"Reply-To: boss@bank.example, anybody: at@all.example;\r\n",
            MINE + b"To: boss@bank.example\r\nX-From: boss@bank.example\r\nOld-Sender: boss@bank.example\r\n",
            MINE + b"Resent-From: ann@example.com\r\nResent-Sender: x@mine.example\r\n",
            MINE + b"Resent-From: ann@example.com, x@mine.example\r\n",
            MINE + b"Resent-From: ann@example.com\r\nResent-From: x@mine.example\r\n",
        ],
    )
    def test_granted_senders_pass(self, header: bytes) -> None:
        assert at_data(header) == ACCEPT

    @pytest.mark.parametrize(
        "header",
        [
            b"From: boss@bank.example\r\n",
            b"From: Ann <boss@bank.example>\r\n",
            b'From: "ann@example.com" <boss@bank.example>\r\n',
            b"From: boss@bank.example (ann@example.com)\r\n",
            MINE + b"Sender: boss@bank.example\r\n",
            MINE + b"sender : Boss <boss@bank.example>\r\n",
            MINE + b"Resent-From: boss@bank.example\r\n",
            MINE + b"Resent-From: ann@example.com, boss@bank.example\r\n",
            MINE + b"Resent-From: ann@example.com\r\nResent-From: boss@bank.example\r\n",
            MINE + b"Resent-Sender: boss@bank.example\r\n",
            b"Resent-Sender: boss@bank.example\r\n" + MINE,
        ],
    )
    def test_a_foreign_sender_is_refused_by_name(self, header: bytes) -> None:
        decision = at_data(header)
        assert isinstance(decision, Reject)
        assert str(decision.reply) == "550 5.7.1 You may not send as boss@bank.example"
        assert decision.rule == "header_from_is_granted"
        assert decision.notices == (FOREIGN,)

    @pytest.mark.parametrize(
        ("header", "text"),
        [
            (b"", "The message has no From field"),
            (b"To: x@example.net\r\n", "The message has no From field"),
            (b"Sender: ann@example.com\r\n", "The message has no From field"),
            (b"Resent-From: ann@example.com\r\n", "The message has no From field"),
            (MINE + MINE, "The message has more than one From field"),
            (MINE + b"FROM : boss@bank.example\r\n", "The message has more than one From field"),
            (MINE + b"Sender: ann@example.com\r\nsender: ann@example.com\r\n",
             "The message has more than one Sender field"),
            (b"From:\r\n", "The From field cannot be accepted: it is empty"),
            (MINE + b"Sender:\r\n", "The Sender field cannot be accepted: it is empty"),
            (MINE + b"Sender: ann@example.com, x@mine.example\r\n",
             "The Sender field cannot be accepted: it holds more than one address"),
            (MINE + b"Resent-From: Us: ann@example.com;\r\n",
             "The Resent-From field cannot be accepted: it is a group or a route, not an address"),
            (MINE + b"Resent-Sender: ann@example.com, ann@example.com\r\n",
             "The Resent-Sender field cannot be accepted: it holds more than one address"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("mismatch", Mismatch)
    def test_what_is_not_wholly_understood_is_refused_for_every_account(
        self, header: bytes, text: str, mismatch: Mismatch
    ) -> None:
        decision = at_data(
            header, user={"mismatch": mismatch, "default_sender": Address.parse("ann@example.com")}
        )
        assert isinstance(decision, Reject)
        assert str(decision.reply) == f"550 5.7.1 {text}"
        assert decision.notices == ()

    def test_without_a_header_there_is_no_from(self) -> None:
        assert isinstance(decide(Stage.DATA, submission()), Reject)

    @pytest.mark.parametrize("authors", LISTS, ids=repr)
    def test_of_several_authors_each_is_asked_about(self, authors: bytes) -> None:
        """As RFC 5322 §3.6.2 lets From name several."""
        me = {"grants": Grants(("mine.example",))}
        decision = at_data(b"From: " + authors + b"\r\n", user=me)
        assert isinstance(decision, Reject)
        assert str(decision.reply) == "550 5.7.1 You may not send as boss@bank.example"
        both = {"grants": Grants(("mine.example", "boss@bank.example"))}
        assert at_data(b"From: " + authors + b"\r\n", user=both) == ACCEPT

    @pytest.mark.parametrize("mismatch", Mismatch)
    def test_no_trick_in_from_passes(self, mismatch: Mismatch) -> None:
        account = {"mismatch": mismatch, "default_sender": Address.parse("ann@example.com")}
        tricks = [trick for trick in TRICKS if not set(trick) & set(b"\0\r\n\x0b\x0c\x1c\x1d\x1e")]
        for name in (b"From: ", MINE + b"Sender: ", MINE + b"Resent-Sender: "):
            passed = [t for t in tricks if not isinstance(at_data(name + t + b"\r\n", user=account), Reject)]
            assert passed == []


class TestWhatBecomesOfAMismatch:
    DEFAULT = Address.parse("ann@example.com")
    HEADER = b"From: boss@bank.example\r\nSender: other@bank.example\r\n"
    BOTH = (FOREIGN, SenderMismatch(Address.parse("other@bank.example")))

    def test_reject(self) -> None:
        decision = at_data(self.HEADER)
        assert isinstance(decision, Reject)
        assert decision.notices == self.BOTH

    def test_hold(self) -> None:
        decision = at_data(self.HEADER, user={"mismatch": Mismatch.HOLD})
        assert decision == Hold("ann may not send as boss@bank.example", self.BOTH)

    def test_rewrite(self) -> None:
        account = {"mismatch": Mismatch.REWRITE, "default_sender": self.DEFAULT}
        assert at_data(self.HEADER, user=account) == Rewrite(self.DEFAULT, self.BOTH)
        assert decide(Stage.MAIL, submission(sender="boss@bank.example", user=account)) == Rewrite(
            self.DEFAULT, (FOREIGN,)
        )

    def test_a_from_of_several_gives_way_unless_all_of_them_are_granted(self) -> None:
        account = {"mismatch": Mismatch.REWRITE, "default_sender": self.DEFAULT}
        mixed = b"From: ann@example.com, boss@bank.example\r\n"
        assert at_data(mixed, user=account) == Rewrite(self.DEFAULT, (FOREIGN,))
        own = b"From: ann@example.com, x@mine.example\r\nSender: boss@bank.example\r\n"
        assert at_data(own, user=account) == Omit((FOREIGN,))

    @pytest.mark.parametrize("default", [None, Address.parse("boss@bank.example")])
    def test_rewrite_without_a_granted_default_is_reject(self, default: Address | None) -> None:
        account = {"mismatch": Mismatch.REWRITE, "default_sender": default}
        assert isinstance(at_data(self.HEADER, user=account), Reject)

    def test_allow_passes_and_tells(self) -> None:
        assert at_data(self.HEADER, user={"mismatch": Mismatch.ALLOW}) == Accept(self.BOTH)

    def test_each_sender_is_told_of_once(self) -> None:
        decision = at_data(b"From: boss@bank.example\r\nSender: boss@bank.example\r\n")
        assert decision.notices == (FOREIGN,)

    @pytest.mark.parametrize("mismatch", [Mismatch.ALLOW, Mismatch.HOLD, Mismatch.REWRITE])
    def test_what_is_not_refused_is_still_asked_about_by_the_other_checks(self, mismatch: Mismatch) -> None:
        account = {"mismatch": mismatch, "default_sender": self.DEFAULT}
        limits = replace(submission().limits, max_message_bytes=1000)
        facts = submission(sender="boss@bank.example", user=account, limits=limits, size_declared=1001)
        decision = decide(Stage.MAIL, facts)
        assert isinstance(decision, Reject)
        assert decision.rule == "fits_size"


def test_a_client_that_knows_no_utf8_is_answered_in_ascii() -> None:
    header = "From: jürgen@münchen.example\r\n".encode()
    plain, utf8 = at_data(header), at_data(header, smtputf8=True)
    assert isinstance(plain, Reject)
    assert isinstance(utf8, Reject)
    assert plain.reply.text == "You may not send as j\\xfcrgen@m\\xfcnchen.example"
    assert utf8.reply.text == "You may not send as jürgen@münchen.example"


@given(st.lists(st.sampled_from(TRICKS), min_size=1, max_size=3).map(b" ".join))
def test_tricks_upon_tricks_do_not_pass_either(value: bytes) -> None:
    if not set(value) & set(b"\0\r\n\x0b\x0c\x1c\x1d\x1e"):
        assert isinstance(at_data(b"From: " + value + b"\r\n"), Reject)
