"""What no window of a quota could ever hold."""

from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Reject
from relay.policy.quotas import Beyond, Quota, Unit
from relay.policy.submission import Submission

# Permanent: to wait for the next window would be in vain.
BEYOND_QUOTA = Reply(552, "7.1", "This one message is more than your whole limit of {quota}")
RULE = "within_whole_quotas"


def within_whole_quotas(submission: Submission) -> Decision:
    """One message must not need more than the whole of a quota, unless what goes beyond is held."""
    limits = submission.user.limits
    if not limits.quotas or limits.beyond is Beyond.HOLD:
        return ACCEPT
    octets = submission.octets or submission.envelope.size_declared or 0
    needed = {Unit.MESSAGES: 1, Unit.OCTETS: octets, Unit.RECIPIENTS: len(submission.envelope.recipients)}
    for quota in limits.quotas:
        if quota.is_exceeded_by(needed[quota.unit]):
            return beyond_whole(quota)
    return ACCEPT


def beyond_whole(quota: Quota) -> Reject:
    """The refusal of a message that is more than all of *quota*."""
    return Reject(BEYOND_QUOTA.saying(BEYOND_QUOTA.text.format(quota=quota)), RULE)
