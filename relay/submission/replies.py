"""Every reply the door gives, with its enhanced code (RFC 3463, RFC 5248); what our faults become."""

from typing import Any

from aiosmtpd.smtp import MISSING
from sqlalchemy.exc import DBAPIError, OperationalError

from relay.mail.reply import Reply

# 2xx and 3xx
OK = Reply(250, "0.0", "Ok")
BYE = Reply(221, "0.0", "Bye")
SENDER_OK = Reply(250, "1.0", "Sender ok")
PRIORITY_CHANGED = Reply(250, "3.6", "The priority of the message was changed")
RECIPIENT_OK = Reply(250, "1.5", "Recipient ok")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
QUEUED = Reply(250, "0.0", "Queued")
CANNOT_VERIFY = Reply(252, "1.5", "Cannot verify anybody; send the message and see")
START_TLS = Reply(220, "0.0", "Ready to start TLS")
AUTHENTICATED = Reply(235, "7.0", "Authentication successful")

# The client speaks strangely: 5xx, and the session lives on
UNKNOWN_COMMAND = Reply(500, "5.1", "Command not recognised")
BAD_OCTETS = Reply(500, "5.2", "A command is printable text, in UTF-8 at most")
LINE_TOO_LONG = Reply(500, "5.2", "Line too long")
NOT_IMPLEMENTED = Reply(502, "5.1", "Command not implemented")
SAY_HELLO_FIRST = Reply(503, "5.1", "Send EHLO first")
MAIL_FIRST = Reply(503, "5.1", "Send MAIL first")
RECIPIENT_FIRST = Reply(503, "5.1", "Send RCPT first")
NESTED_MAIL = Reply(503, "5.1", "Sender already given; RSET to begin anew")
NO_DATA_AFTER_BDAT = Reply(503, "5.1", "DATA and BDAT cannot be mixed in one transaction")
BAD_BDAT = Reply(501, "5.4", "Write BDAT, the number of octets, and LAST for the last chunk")
NO_VALID_RECIPIENT = Reply(554, "5.1", "No valid recipients")
ALREADY_SECURE = Reply(503, "5.1", "TLS is already active")
ALREADY_AUTHENTICATED = Reply(503, "5.1", "Already authenticated")
NOT_IN_TRANSACTION = Reply(503, "5.1", "Not allowed during a mail transaction")
NO_ARGUMENT_TAKEN = Reply(501, "5.4", "This command takes no argument")
BAD_HELLO = Reply(501, "5.4", "Say EHLO and your host name")
BAD_MAIL = Reply(501, "5.4", "Write MAIL FROM:<address> and then the parameters")
BAD_RCPT = Reply(501, "5.4", "Write RCPT TO:<address> and then the parameters")
BAD_SENDER = Reply(501, "1.7", "Bad sender address")
BAD_RECIPIENT = Reply(501, "1.3", "Bad recipient address")
NEEDS_SMTPUTF8 = Reply(553, "6.7", "An address that is not ASCII needs the SMTPUTF8 parameter")
UNKNOWN_PARAMETER = Reply(555, "5.4", "Parameter not recognised")
BAD_PARAMETER = Reply(501, "5.4", "Bad parameter value")
BAD_HEADER = Reply(554, "6.0", "Bad message header")
BARE_NEWLINE = Reply(554, "6.0", "The message has a bare CR or LF; lines end with CRLF")
LINE_OF_MESSAGE_TOO_LONG = Reply(554, "6.0", "A line of the message is too long")

# Security
TLS_NEEDED = Reply(530, "7.0", "Issue STARTTLS first")
TLS_NOT_OFFERED = Reply(502, "5.1", "TLS is not available on this port")
LOGIN_NEEDED = Reply(530, "7.0", "Authentication required")
ENCRYPTION_NEEDED = Reply(538, "7.11", "Encryption required for authentication")
BAD_CREDENTIALS = Reply(535, "7.8", "Authentication credentials invalid")
BAD_MECHANISM = Reply(504, "5.4", "Authentication mechanism not supported")
AUTH_CANCELLED = Reply(501, "7.0", "Authentication cancelled")
BAD_AUTH_RESPONSE = Reply(501, "5.2", "Cannot understand the authentication response")
NAME_BARRED = Reply(454, "7.0", "Too many failed logins; try again later")
AUTH_UNAVAILABLE = Reply(454, "7.0", "Authentication is not possible for the moment")

# Our own trouble: always 4xx (law 5)
SHUTTING_DOWN = Reply(421, "3.2", "Shutting down; try again in a moment")
LOGIN_IS_OVER = Reply(421, "7.0", "Your login is not valid any more")
IDLE_TOO_LONG = Reply(421, "4.2", "Idle for too long")
TOO_MANY_CONNECTIONS = Reply(421, "7.0", "Too many connections; try again later")
ADDRESS_BARRED = Reply(421, "7.0", "Too many failed logins from your address; try again later")
TOO_MANY_FAILURES = Reply(421, "7.0", "Too many failed logins in one session")
TOO_MANY_ERRORS = Reply(421, "7.0", "Too many errors, or commands without a message")
ENOUGH_COMMANDS = Reply(421, "7.0", "Enough commands for one session; connect again")
ENOUGH_MESSAGES = Reply(421, "7.0", "Enough messages for one session; connect again")
LASTED_LONG = Reply(421, "4.2", "This session has lasted long enough; connect again")
NOT_MAIL = Reply(421, "7.0", "This is a mail server")
NO_ROOM = Reply(452, "3.1", "Too much mail in flight; try again later")
OUT_OF_STORAGE = Reply(452, "3.1", "Out of storage; try again later")
NO_ROUTE = Reply(451, "3.5", "There is no upstream for this message; try again later")
TRY_LATER = Reply(451, "3.0", "Temporary failure; try again later")
LOCAL_ERROR = Reply(451, "3.0", "Local error; try again later")

_FULL = ("disk is full", "disk I/O error", "no space left", "could not extend file")


def reply_for(fault: BaseException) -> Reply:
    """What to tell a client when we, not they, are at fault.

    Always temporary: a client given 5xx throws the message away.  A full disk is 452 4.3.1.
    """
    match fault:
        case OperationalError() if any(words in str(fault) for words in _FULL):
            return OUT_OF_STORAGE
        case DBAPIError() | TimeoutError():
            return TRY_LATER
        case _:
            return LOCAL_ERROR


def as_reply(said: Any) -> Reply | None:
    """Understand what a handler of aiosmtpd's manner says: nothing, or text with its code in front."""
    if isinstance(said, Reply):
        return said
    if said is None or said is MISSING:
        return None
    text = str(said)
    return Reply.parse(int(text[:3]), [text[4:]])
