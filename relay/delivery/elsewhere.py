"""What another upstream of its route may do for a delivery that this one does not carry.

That is no retry: nothing waits.  In the end each recipient has one outcome, of the last upstream asked.
"""

from __future__ import annotations

from typing import Protocol

from relay.delivery.classify import asks_for_less, is_enough_for_now
from relay.delivery.hands import Held
from relay.delivery.transports.base import Answers
from relay.mail.reply import Reply


class Elsewhere(Protocol):
    """The other lanes that a delivery may take by its route."""

    def take(self, held: Held, of: str, why: str) -> bool:
        """Let another upstream than *of* have *held* now, for the reason *why*; False: none is open.

        Nor does any get it that it was passed on from before.
        """
        ...

    def may_take(self, held: Held) -> bool:
        """Whether another upstream may carry *held*, now or when it takes mail again."""
        ...


def is_for_others(answers: Answers, *, is_one_of_many: bool) -> bool:
    """Whether nobody has the message, and all that is said against it is about this upstream.

    It cannot carry the message, or asks for less; but not if that *is one of many* servers that the
    upstream leads to, which speaks only of itself.
    """
    if answers.perhaps_delivered:
        return False
    for number, reply in answers.replies.items():
        is_left = number in answers.unheard and is_enough_for_now(reply)
        is_too_much = asks_for_less(reply) and not is_one_of_many
        if not (number in answers.unfit or is_left or is_too_much):
            return False
    return True


def left_to_others(answers: Answers, upstream: str) -> Answers:
    """*answers* of *upstream*, with those whom it cannot serve put off until another can.

    They are told that there was no room for them: where others were served they go on at once by
    themselves, else they wait for a retry.
    """
    waiting = {
        number: Reply(452, "5.3", f'It waits for another upstream: {upstream} cannot carry it ("{reply}")')
        for number, reply in answers.replies.items()
        if number in answers.unfit
    }
    return answers._replace(replies={**answers.replies, **waiting}, unfit=frozenset())
