"""From where a user may send."""

from relay.mail.reply import Reply
from relay.policy.decision import ACCEPT, Decision, Reject
from relay.policy.submission import Submission

NOT_FROM_HERE = Reply(550, "7.1", "You may not send from this network")


def origin_is_allowed(submission: Submission) -> Decision:
    """The client must be in one of the user's networks, if the user has any."""
    networks = submission.user.limits.networks
    if networks is None or networks.hold(submission.session.peer_address):
        return ACCEPT
    return Reject(NOT_FROM_HERE, "origin_is_allowed")
