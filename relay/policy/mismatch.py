"""What becomes of mail whose sender was not granted to its user."""

from __future__ import annotations

from collections.abc import Sequence

from relay.mail.address import Address
from relay.mail.reply import Reply
from relay.policy.decision import Accept, Decision, Hold, Mismatch, Omit, Reject, Rewrite, SenderMismatch
from relay.policy.submission import Submission

MOST_NOTICES = 10  # of one message: each may become a letter, and a header can name thousands
NOT_YOURS = Reply(550, "7.1", "You may not send as {sender}")


def on_mismatch(submission: Submission, foreign: Sequence[Address], rule: str) -> Decision:
    """Decide as the user's account says; each of the *foreign* senders is worth a notice, up to MOST_NOTICES.

    Rewriting needs a default sender that is itself granted; without one the mail is refused.  So is mail
    with the null sender and a foreign From that would else be allowed: nobody could be told of its end.
    """
    user = submission.user
    notices = tuple(SenderMismatch(sender) for sender in list(dict.fromkeys(foreign))[:MOST_NOTICES])
    match user.mismatch:
        case Mismatch.ALLOW if submission.envelope.sender != Address.NULL:
            return Accept(notices)
        case Mismatch.HOLD:
            return Hold(held_because(user.name, foreign[0]), notices)
        case Mismatch.REWRITE if user.default_sender and user.grants.allow(user.default_sender):
            return Rewrite(user.default_sender, notices)
        case _:
            return Reject(_not_yours(foreign[0], in_utf8=submission.envelope.smtputf8), rule, notices)


def held_because(user: str, sender: Address | str) -> str:
    """Why mail of *user* with that sender is held: it is found again by these words."""
    return f"{user} may not send as {sender}"


def told(decision: Decision, where: str) -> str | None:
    """What became of the foreign senders that stood *where*, for the story; None if there were none.

    What is refused has no story.  What is held has a reason as well, but loses it once it is released.
    """
    senders = ", ".join(str(notice.sender) for notice in decision.notices)
    match decision:
        case Accept() if senders:
            return f"{senders} {where}: let through"
        case Hold() if senders:
            return f"{senders} {where}: held"
        case Omit():
            return f"{senders} {where}: left out"
        case Rewrite():
            return f"{senders} {where}: replaced by {decision.sender}"
        case _:
            return None


def _not_yours(sender: Address, *, in_utf8: bool) -> Reply:
    """A client that did not ask for SMTPUTF8 is answered in ASCII (RFC 6531 §3.7.4.2)."""
    shown = str(sender) if in_utf8 else str(sender).encode("ascii", "backslashreplace").decode("ascii")
    return NOT_YOURS.saying(NOT_YOURS.text.format(sender=shown))
