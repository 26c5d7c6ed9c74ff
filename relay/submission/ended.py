"""Sessions that we end before the client does: which of them are worth remembering, and under which rule."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from relay import log
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.submission import replies

_RULES: Mapping[Reply, str] = {
    replies.TOO_MANY_ERRORS: "errors",
    replies.NOT_MAIL: "not_mail",
    replies.TOO_MANY_FAILURES: "logins",
    replies.ADDRESS_BARRED: "logins",
    replies.LOGIN_IS_OVER: "login_over",
    replies.IDLE_TOO_LONG: "time",
    replies.LASTED_LONG: "time",
    replies.ENOUGH_COMMANDS: "commands",
    replies.ENOUGH_MESSAGES: "messages",
}


def rule_of(last_word: Reply, facts: Session) -> str | None:
    """By which rule *last_word* ends a session; None where the client did nothing amiss.

    Who logged in and then rested did not: programs keep connections for their next message.
    """
    if last_word == replies.IDLE_TOO_LONG and facts.user is not None:
        return None
    return _RULES.get(last_word)


def note_tls_failure(facts: Session, fault: ssl.SSLError) -> None:
    """TLS broke: in the handshake, or by an alert, as of a client that does not trust our certificate.

    Neither side can say a word about it, so the log is the only place where anybody finds out why.
    """
    why = (fault.reason or str(fault)).lower().replace("_", " ")
    log.tls_failed(session=facts.id, listener=facts.listener, peer=facts.peer_address, why=why)
