"""How large a message may be."""

from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Reject
from relay.policy.submission import Submission, lower

TOO_LARGE = Reply(552, "3.4", "The message is larger than {limit} octets, the most that is taken here")


def fits_size(submission: Submission) -> Decision:
    """The message, as declared at MAIL and as it came at DATA, must be within the limits (RFC 1870 §6.1).

    The user's own limit and the server's both hold.
    """
    limit = lower(submission.user.limits.max_message_bytes, submission.limits.max_message_bytes)
    octets = submission.octets or submission.envelope.size_declared or 0
    if limit is None or octets <= limit:
        return ACCEPT
    return larger_than(limit)


def larger_than(limit: int) -> Reject:
    """What is said of a message of more than *limit* octets."""
    return Reject(TOO_LARGE.saying(TOO_LARGE.text.format(limit=limit)), "fits_size")
