"""To how many a message may go."""

from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Reject
from relay.policy.submission import Submission, lower

# 452, not 552: the client sends what was accepted and comes again with the rest (RFC 5321 §4.5.3.1.10).
TOO_MANY = Reply(452, "5.3", "A message may have at most {limit} recipients; send to the others separately")


def within_recipient_count(submission: Submission) -> Decision:
    """The recipients accepted so far and the one that is asked about must be within the limits."""
    limit = lower(submission.user.limits.max_recipients, submission.limits.max_recipients)
    if limit is None or len(submission.envelope.recipients) <= limit:
        return ACCEPT
    return Reject(TOO_MANY.saying(TOO_MANY.text.format(limit=limit)), "within_recipient_count")
