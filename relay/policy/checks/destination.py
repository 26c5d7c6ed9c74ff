"""To whom a user may send."""

from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Reject
from relay.policy.submission import Submission

NOT_TO_THEM = Reply(550, "7.1", "You may not send to this address")


def recipient_is_allowed(submission: Submission) -> Decision:
    """The recipient that is asked about must be one that the user may send to, if that is limited."""
    allowed = submission.user.limits.recipients
    if allowed is None or allowed.allow(submission.envelope.recipients[-1].address):
        return ACCEPT
    return Reject(NOT_TO_THEM, "recipient_is_allowed")
