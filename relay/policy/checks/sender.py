"""The sender on the envelope."""

from relay.mail.address import Address
from relay.policy.decision import ACCEPT, Decision
from relay.policy.mismatch import on_mismatch
from relay.policy.submission import Submission


def sender_is_granted(submission: Submission) -> Decision:
    """The envelope sender must be one that the user was granted.

    The null sender passes: read receipts and reports have it, and their From is asked about at DATA
    like any other.
    """
    sender = submission.envelope.sender
    if sender == Address.NULL or submission.user.grants.allow(sender):
        return ACCEPT
    return on_mismatch(submission, (sender,), "sender_is_granted")
