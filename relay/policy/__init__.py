"""May this be sent?  Pure: facts in, a Decision out.

CHECKS is the whole policy, in the order of asking; each check is one function in one file of
`checks/` and knows nothing of sockets, databases or the others.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from relay.policy.checks.destination import recipient_is_allowed
from relay.policy.checks.header_from import header_from_is_granted
from relay.policy.checks.loop import does_not_loop
from relay.policy.checks.origin import origin_is_allowed
from relay.policy.checks.quota import within_whole_quotas
from relay.policy.checks.recipients import within_recipient_count
from relay.policy.checks.sender import sender_is_granted
from relay.policy.checks.size import fits_size
from relay.policy.decision import ACCEPT, Decision, Reject, stricter
from relay.policy.submission import Submission

__all__ = ["CHECKS", "Stage", "decide", "explain"]


class Stage(StrEnum):
    """When policy is asked: once for each MAIL, each RCPT, and each message."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"


Check = Callable[[Submission], Decision]

CHECKS: Mapping[Stage, tuple[Check, ...]] = {
    Stage.MAIL: (origin_is_allowed, sender_is_granted, fits_size, within_whole_quotas),
    Stage.RCPT: (within_recipient_count, recipient_is_allowed),
    Stage.DATA: (fits_size, within_whole_quotas, does_not_loop, header_from_is_granted),
}


def decide(stage: Stage, submission: Submission) -> Decision:
    """The first check that rejects decides; where none does, the strictest of the others' answers.

    So mail that one check wants held, or rewritten, or only told about, is still asked about by the rest.
    """
    decision: Decision = ACCEPT
    for check in CHECKS[stage]:
        answer = check(submission)
        if answer is ACCEPT:
            continue
        if isinstance(answer, Reject):
            return answer
        decision = stricter(decision, answer)
    return decision


def explain(stage: Stage, submission: Submission) -> list[tuple[str, Decision]]:
    """What each check of *stage* says by itself, in the order of asking, for whoever wants to know why."""
    return [(check.__name__, check(submission)) for check in CHECKS[stage]]
