"""Mail that goes in circles."""

from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Reject
from relay.policy.submission import Submission

GOES_IN_CIRCLES = Reply(554, "4.6", "The message has passed too many servers; it is going in circles")


def does_not_loop(submission: Submission) -> Decision:
    """A message that so many servers have already had is going in circles (RFC 5321 §6.3)."""
    limit, header = submission.limits.max_received_fields, submission.header
    if limit is None or header is None or len(header.all("received")) <= limit:
        return ACCEPT
    return Reject(GOES_IN_CIRCLES, "does_not_loop")
