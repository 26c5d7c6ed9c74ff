"""What we say to people, in plain English: text with {places}, and advice for each kind of failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relay.mail.reply import Reply


class ReportWords(NamedTuple):
    """How one kind of news is put: in the subject, of one address, of many, and what comes next."""

    subject: str
    one: str
    many: str
    what_follows: str


REPORTS: Mapping[str, ReportWords] = {
    "failed": ReportWords(
        "Not delivered: your message to {recipients}",
        "Your message could not be delivered to this address.",
        "Your message could not be delivered to these {count} addresses.",
        "We will not try again.",
    ),
    "delayed": ReportWords(
        "Delayed: your message to {recipients}",
        "Your message has not been delivered to this address yet.",
        "Your message has not been delivered to these {count} addresses yet.",
        "We go on trying; there is nothing that you have to do.",
    ),
    "relayed": ReportWords(
        "Passed on: your message to {recipients}",
        "Your message was passed on for this address.",
        "Your message was passed on for these {count} addresses.",
        "The next server makes no such reports: you will hear of it again only if it fails.",
    ),
}

REPORT = """\
This is the mail server {hostname}.

{what_happened} {what_follows}

{message}

{recipients}

The report below is for mail programs. It is followed by {returned} of your message.
"""

REPORT_RECIPIENT = """\
{address}
    What happened: {why}
    {said_by}: {reply}
    What to do: {advice}"""

REPORT_ANSWER = """\
{address}
    {said_by}: {reply}"""

WHY: Mapping[str, tuple[str, str]] = {
    # RFC 3463 subject.detail, or the subject alone: what it means, and what the sender can do.
    "1.0": ("the address was not accepted.", "Check the address and send the message again."),
    "1.1": (
        "there is no such mailbox at the recipient's server.",
        "Check the spelling before the @, or ask the recipient for the right address.",
    ),
    "1.2": (
        "the domain after the @ does not exist or takes no mail.",
        "Check the spelling after the @.",
    ),
    "1.3": ("the address is not written rightly.", "Check the spelling of the address."),
    "1.6": ("the mailbox has moved.", "Ask the recipient for the new address."),
    "1.8": (
        "the recipient's server does not accept your sender address.",
        "Ask whoever runs your mail to check the sender address and its domain.",
    ),
    "1.10": ("the domain takes no mail at all.", "Reach the recipient in another way."),
    "2": (
        "the recipient's mailbox cannot take the message.",
        "Try again later, or reach the recipient in another way.",
    ),
    "2.1": ("the recipient's mailbox is switched off.", "Reach the recipient in another way."),
    "2.2": (
        "the recipient's mailbox is full.",
        "Reach the recipient in another way and ask for the mailbox to be cleared.",
    ),
    "2.3": ("the message is larger than the recipient may receive.", "Send it with smaller attachments."),
    "3.4": ("the message is larger than the next server takes.", "Send it with smaller attachments."),
    "3": (
        "the recipient's server could not take the message.",
        "Try again later; if it happens again, tell whoever runs your mail.",
    ),
    "4": (
        "the next mail server could not be reached.",
        "Try again later; if it happens again, tell whoever runs your mail.",
    ),
    "4.6": ("the message went in circles.", "Tell whoever runs your mail."),
    "4.7": (
        "we tried until the time for this message was over.",
        "If the message still matters, send it again or reach the recipient in another way.",
    ),
    "5": (
        "the two mail servers did not understand each other.",
        "Tell whoever runs your mail, and send this report along.",
    ),
    "5.3": ("the message has too many recipients.", "Send it to fewer recipients at a time."),
    "6": (
        "the recipient's server cannot take a message of this kind.",
        "Send it in a simpler form, for example without attachments.",
    ),
    "6.7": (
        "the next server cannot handle addresses with letters beyond ASCII.",
        "Use an address in plain letters, if the recipient has one.",
    ),
    "7": (
        "the recipient's server refused the message by its rules.",
        "Read its answer above; ask the recipient or whoever runs your mail.",
    ),
    "7.1": (
        "the recipient's server does not accept this message from you.",
        "Read its answer above; ask the recipient or whoever runs your mail.",
    ),
    "7.10": (
        "the next server could not give the encryption that you asked for.",
        "Send it again without asking for encryption all the way, or reach the recipient otherwise.",
    ),
    "7.30": (
        "the next server could not give the encryption that you asked for.",
        "Send it again without asking for encryption all the way, or reach the recipient otherwise.",
    ),
    "": (
        "the recipient's server refused the message.",
        "Read its answer above; ask the recipient or whoever runs your mail.",
    ),
}


GIVEN_UP_BY_OPERATOR = (
    "whoever runs this mail server took the message out of the queue; no other server refused it.",
    "Read the reason above; ask whoever runs your mail.",
)

NEVER_SENT = (
    "the message could not be sent to any server until its time was over.",
    "If the message still matters, send it again or reach the recipient in another way.",
)


def meaning(reply: Reply) -> tuple[str, str]:
    """Say what *reply* means and what the sender can do about it."""
    subject = reply.enhanced.partition(".")[0]
    return WHY.get(reply.enhanced) or WHY.get(subject) or WHY[""]


SENDER_MISMATCH_SUBJECT = "{user} tried to send mail as {sender}"

SENDER_MISMATCH = """\
This is the mail server {hostname}.

The user {user} tried to send a message as {sender}, which is not among the senders granted to that user.

    When: {when}
    From the address: {client}
    The client calls itself: {helo}

{consequence}

{advice}

For a while you will not hear again of this user and this sender, however often it happens.
"""

MISMATCH_OUTCOMES: Mapping[str, str] = {
    "refused": "The message was refused; whoever sent it was told so.",
    "held": "The message was taken and is held: it is not sent until an operator decides.",
    "omitted": "The message was sent without that sender; its From is the user's own.",
    "rewritten": "The message was sent with the user's default address in place of that sender.",
    "sent": "The message was sent as it was, because the user's account allows it.",
}

TO_USER = """\
If it was you, or a program of yours: set the sender in it to an address of yours, or ask whoever runs
this server to grant you {sender}. If it was not, somebody knows your password: ask for a new one now."""

TO_OPERATOR = """\
If this is meant, grant {sender} to {user} with "relay user edit". If it is not, a program is set up
wrongly, or somebody knows the password: "relay user password" makes a new one."""

ACCOUNT_ATTACKED_SUBJECT = "Somebody guesses at the password of {user}"

ACCOUNT_ATTACKED = """\
This is the mail server {hostname}.

{failures} logins as {user} failed in a row. For {minutes} minutes nobody can log in under that name from a
network that it has not logged in from before.

    When: {when}
    The last one from the address: {client}
    The client calls itself: {helo}

{advice}

For a while you will not hear of this again, even if it goes on.
"""

ATTACKED_TO_USER = """\
If it was a program of yours with an old password: give it the new one. If not, there is nothing for you to
do: nobody got in. Should your password be short or used elsewhere, too, ask for a new one."""

ATTACKED_TO_OPERATOR = """\
"relay logins list --user {user}" shows from where. If it is a program with an old password, set it right;
if not, nobody got in."""

ARCHIVE_FAILED_SUBJECT = "The archive {archive} did not get its copy of a message"

ARCHIVE_FAILED = """\
This is the mail server {hostname}.

A copy for the archive {archive} failed for good, and is not tried again. The message itself was delivered.

    When: {when}
    The message: {original}
    Its copy: {copy}
    The last word about the copy: {reply}

"relay message show {copy}" has its story. See that the archive takes mail again. What it misses must be
brought there by other means: each copy that failed is an event "archive_failed" in the log.

You will hear of this once a day as long as it goes on, however many copies fail.
"""

CONSENT_ENDED_SUBJECT = "The upstream {upstream} no longer lets the relay log in"

CONSENT_ENDED = """\
This is the mail server {hostname}.

The relay got no new token to log in to the upstream "{upstream}" with: {why}.

    When: {when}

Its mail waits meanwhile, or goes by another upstream of its route. If consent has ended or was taken back,
give it anew with "relay upstream authorize {upstream}"; if a client's secret or a key has ended, enter the
new one with "relay upstream edit {upstream} --password-stdin".

You will hear of this once a day as long as it goes on.
"""
