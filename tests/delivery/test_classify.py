"""Whose words a reply is, when all that is left of it is what was written down."""

import pytest

from relay.delivery import classify, runner
from relay.delivery.attempt import _UNREPORTED
from relay.delivery.classify import Step, is_our_own
from relay.mail.reply import Reply

OPENING = (Step.DNS, Step.CONNECT, Step.BANNER, Step.EHLO, Step.TLS, Step.AUTH)


@pytest.mark.parametrize(
    "said",
    [
        classify.cut_off(Step.DOT).reply,
        classify.perhaps_delivered(classify.timed_out(Step.DOT, 600).reply),
        classify.given_up(Step.DOT).reply,
        classify.not_understood(Step.MAIL, "220 instead of 250").reply,
        classify.no_token("nobody has given consent").reply,
        *(classify.cannot_open(step, TimeoutError()).reply for step in OPENING),
        runner._CONTENT_GONE,
        runner._IN_THE_NEXT,
        _UNREPORTED,
    ],
)
def test_what_the_relay_says_of_an_upstream_is_its_own(said: Reply) -> None:
    assert is_our_own(Reply.parse(said.code, [str(said)[4:]]))


def test_what_a_server_says_is_not() -> None:
    assert not is_our_own(Reply.parse(451, ["4.2.2 Mailbox is full"]))
    quoted = classify.as_told(Reply(530, "7.0", "Authentication required"), classify.Scope.UPSTREAM)
    assert not is_our_own(quoted)
