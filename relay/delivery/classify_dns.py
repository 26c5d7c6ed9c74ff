"""What it means to those who were to get mail that DNS leads to no server: see `relay.delivery.classify`.

None of these troubles reaches further than the domain that it is about, so to the lane each is one
of the message.
"""

from __future__ import annotations

from relay.delivery.classify import Scope, Step, Trouble
from relay.mail.reply import Reply


def no_such_domain(domain: str) -> Trouble:
    """NXDOMAIN: for good, as far as anybody can know (RFC 5321 §5.1)."""
    return _about(Reply(550, "1.2", f"There is no domain {domain} in DNS"))


def no_exchanger(domain: str) -> Trouble:
    """The name exists, but not for mail: neither MX nor address (RFC 5321 §5.1)."""
    return _about(Reply(550, "1.2", f"The domain {domain} has neither a mail exchanger nor an address"))


def takes_no_mail(domain: str) -> Trouble:
    """Null MX (RFC 7505 §4.1)."""
    return _about(Reply(556, "1.10", f"The domain {domain} takes no mail, as it says in DNS (null MX)"))


def comes_back(domain: str) -> Trouble:
    """The best exchanger is this relay itself (RFC 5321 §5.1)."""
    text = f"Mail for {domain} would come back to this relay, which DNS names as its mail exchanger"
    return _about(Reply(554, "4.6", text))


def cannot_ask(why: str) -> Trouble:
    """No name server knew; that passes."""
    return _about(Reply(451, "4.3", why))


def no_usable_exchanger(domain: str) -> Trouble:
    """There are MX records, but what they name is no host with an address: somebody may mend that."""
    return _about(Reply(451, "4.4", f"None of the mail exchangers that {domain} names has an address"))


def not_of_policy(domain: str) -> Trouble:
    """Whoever answers for the domain in DNS is not whom its policy names (RFC 8461 §5.1)."""
    text = (
        f"The MTA-STS policy of {domain}, which is to be enforced, names none of the mail exchangers in DNS"
    )
    return _about(Reply(451, "7.0", text))


def of_host(trouble: Trouble, host: str, *, enforced_by: str = "") -> Trouble:
    """*trouble* with one *host* of a domain, told with its name; *enforced_by*: whose policy wants TLS."""
    text = f"{host}: {trouble.reply.text}"
    if enforced_by and trouble.step is Step.TLS:
        text += f" (the MTA-STS policy of {enforced_by} wants TLS with a certificate that is trusted)"
    return Trouble(trouble.reply.saying(text), Scope.MESSAGE, trouble.step)


def _about(reply: Reply) -> Trouble:
    return Trouble(reply, Scope.MESSAGE, Step.DNS)
