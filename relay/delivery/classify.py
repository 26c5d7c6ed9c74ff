"""What every fault on the way out means: the one place that decides it.

Two questions are answered, and nothing else: which Reply the recipients are told, and how far the
trouble reaches (its Scope).  A fault that is not a well-formed permanent reply about the message
itself is temporary, whatever it is: mail must not be thrown away over a broken line.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import IntEnum, StrEnum

import aiosmtplib

from relay.mail.reply import Reply


class Scope(IntEnum):
    """How far a trouble reaches; the greater includes the smaller."""

    MESSAGE = 1  # this message: the connection and the upstream are well
    CONNECTION = 2  # this connection is over; on a new one the message may well go through
    UPSTREAM = 3  # nothing can be sent there now, whatever it is


class Step(StrEnum):
    """The steps to an upstream, in their order; the words they are told by."""

    DNS = "DNS"
    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "EHLO"
    TLS = "TLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BODY = "the message"
    DOT = "the end of the message"
    RSET = "RSET"
    QUIT = "QUIT"


class Trouble(Exception):
    """The conversation cannot go on; *reply* is what it means to the recipients it was about.

    *pause* is how long the upstream asked to be left alone for, if it did.
    """

    def __init__(self, reply: Reply, scope: Scope, step: Step, pause: timedelta | None = None) -> None:
        super().__init__(f"{step}: {reply}")
        self.pause = pause
        self.reply = reply
        self.scope = scope
        self.step = step


# RFC 3463 §3.5: 4.1 no answer, 4.2 bad connection, 4.3 directory failure; 5.0 protocol; 7.x security.
_NO_ANSWER, _BAD_CONNECTION, _NO_SUCH_HOST, _PROTOCOL = "4.1", "4.2", "4.3", "5.0"
_TLS_FAILED, _LOGIN_FAILED = "7.5", "7.8"

# Asking for a login or for TLS is about our configuration, never about the message (RFC 4954 §6,
# RFC 3207 §4), also where it comes as the answer to MAIL or RCPT.
_ABOUT_US = frozenset({530, 534, 535, 538})


def cut_off(step: Step) -> Trouble:
    """The upstream closed the connection, or the network did."""
    text = f"The connection was closed before the answer to {step.value}"
    return Trouble(Reply(451, _BAD_CONNECTION, text), Scope.CONNECTION, step)


def timed_out(step: Step, seconds: float) -> Trouble:
    """Nothing was heard for *seconds*."""
    text = f"No answer to {step.value} within {seconds:g} seconds"
    return Trouble(Reply(451, _BAD_CONNECTION, text), Scope.CONNECTION, step)


def given_up(step: Step) -> Trouble:
    """We hung up ourselves: the relay stops, and no time is left to wait for the answer."""
    text = f"The relay was stopped before the answer to {step.value}"
    return Trouble(Reply(451, _BAD_CONNECTION, text), Scope.CONNECTION, step)


def not_understood(step: Step, what: str) -> Trouble:
    """What came is no answer that SMTP allows here, so nothing it says can be relied on."""
    text = f"The upstream broke the protocol at {step.value}: {what}"
    return Trouble(Reply(451, _PROTOCOL, text), Scope.CONNECTION, step)


def said_goodbye(reply: Reply, step: Step) -> Trouble:
    """421: the upstream is about to close the connection, whatever it was asked (RFC 5321 §3.8)."""
    return Trouble(reply, Scope.CONNECTION, step)


def scope_of(reply: Reply, *, requires_tls: bool = False) -> Scope:
    """How far the refusal *reply* to MAIL, RCPT, DATA or the message reaches.

    "Bad sequence" there means that the two sides no longer agree where they are.  550 5.7.30 means that
    nobody may log in with a password any more (Microsoft); said to a message that *requires TLS* all the
    way, that it cannot go on so (RFC 8689 §7).
    """
    if reply.code in {421, 503}:
        return Scope.CONNECTION
    is_login_gone = reply.code == 550 and reply.enhanced == "7.30" and not requires_tls
    return Scope.UPSTREAM if is_login_gone or reply.code in _ABOUT_US else Scope.MESSAGE


def as_told(reply: Reply, scope: Scope) -> Reply:
    """*reply* as it is to be settled: beyond the message itself every refusal is temporary."""
    if scope is Scope.MESSAGE or not reply.is_permanent:
        return reply
    return Reply(451, reply.enhanced, f'The upstream said "{reply}"')


def too_many_recipients(refusal: Reply) -> Reply:
    """Read the refusal of a RCPT that follows an accepted one.

    552 then means "enough for now", whatever RFC 821 said (RFC 5321 §4.5.3.1.10).
    """
    if refusal.code == 552 and refusal.enhanced in {"", "5.3"}:
        return Reply(452, "5.3", refusal.text)
    return refusal


def perhaps_delivered(reply: Reply) -> Reply:
    """Say of a trouble behind the final dot what it means: the upstream may have the message (RFC 1047)."""
    return Reply(reply.code, reply.enhanced, f"{reply.text}; perhaps it was delivered all the same")


def is_enough_for_now(reply: Reply) -> bool:
    """Whether *reply* to a RCPT asks for the rest of the recipients in a transaction of their own."""
    return reply.code == 452 and reply.enhanced in {"", "5.3"}


def no_token(why: str) -> Trouble:
    """There is nothing to log in with: that is the upstream's trouble, and ours to mend."""
    text = f"No token to log in with: {why}"
    return Trouble(Reply(451, _LOGIN_FAILED, text), Scope.UPSTREAM, Step.AUTH)


def asks_for_less(reply: Reply) -> bool:
    """Whether *reply* says that we send too much at a time, rather than anything about a message.

    432 (RFC 4954 §6 reused by big providers), 4.3.2 "not accepting now" and 4.7.x, and 421; but not
    when it closes a connection that was idle for too long (4.4.2), nor when it puts off whom it does not
    know yet (RFC 6647): to send slower would not make us known any sooner.
    """
    if not 400 <= reply.code < 500 or _GREYLISTED.search(reply.text):
        return False
    if reply.code == 421:
        return reply.enhanced != "4.2"
    return reply.code == 432 or reply.enhanced == "3.2" or reply.enhanced.startswith("7.")


_GREYLISTED = re.compile("gr[ae]y[ -]?list", re.IGNORECASE)

_OPENING: Mapping[Step, str] = {
    Step.DNS: "The host name cannot be resolved",
    Step.CONNECT: "Cannot connect",
    Step.BANNER: "The upstream does not greet us",
    Step.EHLO: "The upstream refuses our EHLO",
    Step.TLS: "TLS cannot be set up",
    Step.AUTH: "The upstream does not accept our login",
}
_ENHANCED: Mapping[Step, str] = {
    Step.DNS: _NO_SUCH_HOST,
    Step.TLS: _TLS_FAILED,
    Step.AUTH: _LOGIN_FAILED,
}


_OUR_OWN = (  # also what a runner says for the next upstream, or for the relay
    "A fault of the relay itself ",
    "It waits for another upstream: ",
    "Its turn comes in the next transaction",
    "The content of the message is gone",
    "The connection was closed before ",
    "No answer to ",
    "No token to log in with: ",
    "The relay was stopped before ",
    "The upstream broke the protocol ",
    *(f"{words}: " for words in _OPENING.values()),
)


def is_our_own(reply: Reply) -> bool:
    """Whether *reply*, as it was written down, is what this room says where no upstream gave an answer."""
    return reply.text.startswith(_OUR_OWN)


def cannot_open(step: Step, fault: Exception) -> Trouble:
    """Something went wrong before the first transaction: that is the upstream's trouble.

    Always temporary: the configuration may be wrong, and the mail shall wait until it is right.
    """
    if isinstance(fault, aiosmtplib.SMTPConnectError) and isinstance(fault.__cause__, ssl.SSLError):
        step, fault = Step.TLS, fault.__cause__
    elif isinstance(fault, aiosmtplib.SMTPConnectResponseError):
        step = Step.BANNER
    enhanced = _ENHANCED.get(step, _NO_ANSWER)
    if isinstance(fault, aiosmtplib.SMTPResponseException) and fault.code > 0:
        said = Reply.parse(fault.code, str(fault.message).split("\n"))
        is_temporary = 400 <= said.code < 500
        reply = Reply(
            said.code if is_temporary else 451, said.enhanced or enhanced, f"{_OPENING[step]}: {said}"
        )
    else:
        # The words of a fault may be the upstream's own, and those may be any octets.
        reply = Reply(451, enhanced, Reply.parse(451, [f"{_OPENING[step]}: {_in_words(fault)}"]).text)
    return Trouble(reply, Scope.UPSTREAM, step)


_WORDS: Sequence[tuple[type[Exception], str]] = (
    (socket.gaierror, "there is no such host, or no name server answers"),
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "the connection was closed"),
    (BrokenPipeError, "the connection was closed"),
    (aiosmtplib.SMTPServerDisconnected, "the connection was closed"),
)


def _in_words(fault: Exception) -> str:
    if isinstance(fault, aiosmtplib.SMTPConnectError) and isinstance(fault.__cause__, Exception):
        fault = fault.__cause__
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({fault.verify_message})"
    if isinstance(fault, ssl.SSLError) and fault.reason:
        return fault.reason.replace("_", " ").lower()
    words = next((words for kind, words in _WORDS if isinstance(fault, kind)), None)
    return words or getattr(fault, "strerror", None) or str(fault.args[-1] if fault.args else fault)
