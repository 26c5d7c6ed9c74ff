"""The bookkeeping of one offer, sans I/O: which answer is the last word to which recipient.

Law 2 begins here: in the end every recipient has exactly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from relay.delivery.classify import (
    Scope,
    Step,
    Trouble,
    as_told,
    not_understood,
    perhaps_delivered,
    said_goodbye,
    scope_of,
    too_many_recipients,
)
from relay.delivery.transports.base import Answers
from relay.delivery.transports.parameters import unfit
from relay.delivery.transports.replies import Answer
from relay.mail.reply import Reply


class Transaction:
    """Hears the answers in the order of the commands: MAIL, each RCPT, DATA, the message itself."""

    __slots__ = (
        "_all",
        "_last_words",
        "_requires_tls",
        "_unasked",
        "_unfit",
        "accepted",
        "is_begun",
        "is_mail_refused",
        "is_out",
        "is_out_of_step",
        "trouble",
    )

    def __init__(
        self, numbers: Sequence[int], refused: Mapping[int, Reply], *, requires_tls: bool = False
    ) -> None:
        self._all = numbers
        self._requires_tls = requires_tls
        self._last_words = dict(refused)
        self._unasked = frozenset(refused)
        self._unfit = unfit(refused) if refused else self._unasked
        self.accepted: list[int] = []
        self.trouble: Trouble | None = None
        self.is_mail_refused = False
        self.is_begun = False  # the message, or some of it, is out: it may have been taken, or be the cause
        self.is_out = False  # all of it is, with the final dot
        self.is_out_of_step = False  # nobody knows any more which answer was for whom

    def hear_mail(self, answer: Answer) -> None:
        """The answer to MAIL: a refusal is the last word to everybody."""
        if not answer.is_success:
            self.is_mail_refused = True
            self._tell(self._undecided(), self._refusal(answer, Step.MAIL))

    def hear_rcpt(self, number: int, answer: Answer) -> None:
        """The answer to the RCPT of recipient *number*."""
        if self.is_mail_refused:
            return
        if answer.is_success:
            self.accepted.append(number)
            return
        refusal = self._refusal(answer, Step.RCPT)
        self._tell((number,), too_many_recipients(refusal) if self.accepted else refusal)

    def hear_data(self, answer: Answer) -> bool:
        """The answer to DATA; True: the upstream now waits for the message, or at least for a dot."""
        if answer.code == 354:
            return self.trouble is None
        if answer.code < 400:
            self.is_out_of_step = True
            self.broken_off(not_understood(Step.DATA, f"{answer.code} instead of 354"))
        elif self.accepted:
            self._tell(self.accepted, self._refusal(answer, Step.DATA))
        return False

    def hear_end(self, answer: Answer) -> None:
        """The answer to the message: only 2xx means that it was taken (RFC 5321 §4.2.5)."""
        if answer.is_success:
            self._tell(self.accepted, answer.to_reply())
        elif answer.code < 400:
            self.broken_off(not_understood(Step.DOT, f"an unexpected {answer.code}"))
        else:
            self._tell(self.accepted, self._refusal(answer, Step.DOT))

    def hear_too_early(self, answers: Sequence[Answer]) -> None:
        """What was said before the message was out: a refusal stands, anything else means nothing."""
        for answer in answers:
            if answer.code >= 400:
                self._tell(self.accepted, self._refusal(answer, Step.BODY))

    def broken_off(self, trouble: Trouble) -> None:
        """Nothing more will be heard; the first trouble is the one that counts."""
        self.trouble = self.trouble or trouble

    def answers(self) -> Answers:
        """The outcome; whoever got no word of his own is told the trouble.

        So is everybody where the answers are out of step: the refusal of one may be meant for another.
        """
        if self.is_out_of_step:
            self._last_words = {n: word for n, word in self._last_words.items() if n in self._unasked}
        if self.trouble is None:
            return Answers(self._last_words, self._unasked, unfit=self._unfit)
        unheard = self._undecided()
        is_doubtful = self.is_out and bool(unheard)
        told = as_told(self.trouble.reply, self.trouble.scope)
        self._tell(unheard, perhaps_delivered(told) if is_doubtful else told)
        return Answers(
            self._last_words,
            self._unasked.union(unheard),
            self.trouble,
            is_untried=not self.is_begun,
            perhaps_delivered=is_doubtful,
            unfit=self._unfit,
        )

    def _undecided(self) -> list[int]:
        return [number for number in self._all if number not in self._last_words]

    def _tell(self, numbers: Iterable[int], reply: Reply) -> None:
        for number in numbers:
            self._last_words[number] = reply

    def _refusal(self, answer: Answer, step: Step) -> Reply:
        """What a refusal is to be settled as; one that reaches beyond the message is also a trouble."""
        if answer.code < 400:
            self.is_out_of_step = True
            self.broken_off(not_understood(step, f"an unexpected {answer.code}"))
            return self.trouble.reply if self.trouble else answer.to_reply()
        reply = answer.to_reply()
        scope = scope_of(reply, requires_tls=self._requires_tls)
        if scope is Scope.CONNECTION:
            self.broken_off(said_goodbye(reply, step))
        elif scope is Scope.UPSTREAM:
            self.broken_off(Trouble(reply, scope, step))
        return as_told(reply, scope)
