"""What to do about what an upstream said: HINTS, read from the top, the first that fits is given.

The words that are matched are those of a trouble as `relay.delivery.classify` tells it: the
upstream's own code and text stand in them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from relay.delivery.classify import Step


@dataclass(frozen=True, slots=True)
class Hint:
    """What to do about words that match `pattern`, said at one of `steps`, by a `port` (0: any)."""

    steps: Collection[Step]
    pattern: str
    advice: str
    port: int = 0


_SENDING = frozenset({Step.MAIL, Step.RCPT, Step.DATA, Step.DOT})

HINTS: Sequence[Hint] = (
    Hint({Step.DNS}, "", "Check the spelling of the host name, and that this machine can resolve names."),
    Hint(
        {Step.CONNECT},
        "no answer in time",
        "Many networks block port 25: ask for it to be opened, or use an upstream with port 587 or 465.",
        port=25,
    ),
    Hint({Step.CONNECT}, "no answer in time", "A firewall may be in the way; check host and port."),
    Hint({Step.CONNECT}, "", "Nobody listens there: check host and port (587 for STARTTLS, 465 for TLS)."),
    Hint(
        {Step.BANNER},
        "no answer in time|does not greet us: the connection was closed",  # by which of the two gave up first
        "A port that is silent at first expects TLS at once: set the TLS mode to implicit.",
    ),
    Hint({Step.BANNER}, r"\b(421|554)\b", "The upstream does not want connections from this address now."),
    Hint(
        {Step.TLS},
        "does not offer STARTTLS",
        "Use implicit TLS (port 465), or another port; without TLS the password would be open to all.",
    ),
    Hint(
        {Step.TLS},
        "wrong version number|record layer|closed|no answer in time",
        "The TLS mode does not fit the port: 465 is implicit, 587 and 25 are STARTTLS.",
    ),
    Hint({Step.TLS}, "mismatch|doesn't match", "Use the host name that the certificate is made out for."),
    Hint({Step.TLS}, "expired", "The upstream's certificate has expired: tell whoever runs it."),
    Hint(
        {Step.TLS},
        "not trusted",
        "If the upstream is your own, give its certificate, or that of its authority, to be trusted.",
    ),
    Hint({Step.AUTH}, "offers no way to log in", "It may offer one only over TLS: check the TLS mode."),
    Hint(
        {Step.AUTH},
        "nobody has given consent|invalid_grant",
        'Give consent with "relay upstream authorize".',
    ),
    Hint(
        {Step.AUTH},
        "invalid_client|unauthorized_client",
        "Check the application's id and its secret, which may have expired: --client-id, --password-stdin.",
    ),
    Hint(
        {Step.AUTH}, "invalid_scope", "Check the scope, and what the application is allowed there: --scope."
    ),
    Hint(
        {Step.AUTH},
        "token endpoint .* cannot be asked",
        "Check --token-url, and that nothing blocks the way.",
    ),
    Hint(
        {Step.AUTH},
        r"5\.7\.3\b.*status|scope ",
        "The token is known nowhere there: check scope and consent, and that it is for this mailbox.",
    ),
    Hint({Step.AUTH}, "HTTP 40[13]", "Check the key or token, and what it is allowed to do."),
    Hint({Step.AUTH}, "HTTP 404", "Check the URL, the domain or region, and the mailbox."),
    Hint(
        {Step.AUTH},
        r"5\.7\.139|5\.7\.30",
        "Logging in with a password is switched off there (Microsoft 365): use tokens, --oauth.",
    ),
    Hint(
        {Step.AUTH},
        r"534|5\.7\.9|[Aa]pplication-specific",
        "The provider wants an app password in the place of the usual one.",
    ),
    Hint({Step.AUTH}, "cannot be opened", "Enter the password anew: it was stored with another key."),
    Hint({Step.AUTH}, "", "Check user name and password; some providers want an app password."),
    Hint(_SENDING, "STARTTLS", "The upstream wants TLS: set the TLS mode to STARTTLS."),
    Hint(_SENDING, r"530|[Aa]uthentication", "The upstream wants a login: set a user name and password."),
    Hint(
        {Step.MAIL, Step.RCPT},
        r"5\.7\.60|5\.7\.1\b|\b553\b|[Ss]ender",
        "The upstream does not let this account send as this address: set the sender address it allows.",
    ),
    Hint({Step.RCPT}, r"\b550\b", "The upstream does not take mail for this address."),
)


def hint_for(step: Step, words: str, port: int) -> str | None:
    """What to do about *words*, said at *step* when speaking to *port*."""
    for hint in HINTS:
        if step in hint.steps and hint.port in {0, port} and re.search(hint.pattern, words):
            return hint.advice
    return None
