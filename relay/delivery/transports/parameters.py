"""What MAIL and RCPT say to an upstream, given what it offers; pure.

A parameter is sent only where its extension is offered (RFC 5321 §4.1.1.11).  What the upstream
cannot take at all is refused here, without asking it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relay.mail.address import Address
from relay.mail.downgrade import CannotDowngrade, to_seven_bit
from relay.mail.dsn import ascii_orcpt
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority, from_mt_priority, to_mt_priority
from relay.mail.reply import Reply

TOO_LARGE = Reply(552, "3.4", "The message is larger than the upstream accepts")
NEEDS_8BITMIME = Reply(554, "6.3", "The message has 8-bit content, and the upstream takes only 7-bit")
NEEDS_SMTPUTF8 = Reply(550, "6.7", "The address or the header is not ASCII; the upstream takes only that")

NEEDS_TLS = Reply(550, "7.30", "REQUIRETLS support required: the upstream does not vouch for TLS all the way")
TOO_LATE = Reply(550, "4.7", "The time that the sender set for the delivery is over")


@dataclass(frozen=True, slots=True)
class Offers:
    """The extensions in an upstream's EHLO that matter to us; `size` 0: offered without a limit.

    `require_tls` only if the connection is itself secured and the upstream's certificate verified.
    `is_verbatim`: what is sent arrives as it was sent (SMTP's promise; not that of all services).
    """

    pipelining: bool = False
    size: int | None = None
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    mt_priority: bool = False
    deliver_by: bool = False
    require_tls: bool = False
    is_verbatim: bool = True

    @classmethod
    def read(cls, extensions: Mapping[str, str], *, is_trusted: bool = False) -> Offers:
        """Read them from keyword (lower case) and parameters; *is_trusted*: verified TLS."""
        size = extensions.get("size", "0").strip()
        return cls(
            pipelining="pipelining" in extensions,
            size=(int(size) if size.isdecimal() and size.isascii() else 0) if "size" in extensions else None,
            eight_bit="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            dsn="dsn" in extensions,
            mt_priority="mt-priority" in extensions,
            deliver_by="deliverby" in extensions,
            require_tls=is_trusted and "requiretls" in extensions,
        )


def fitted(content: bytes, offers: Offers) -> bytes:
    """Return *content* as this upstream can take it: 8-bit bodies encoded, if that is needed and possible.

    Takes some 30 ms a megabyte where it is needed.
    """
    if offers.eight_bit or content.isascii():
        return content
    try:
        return to_seven_bit(content)
    except CannotDowngrade:
        return content


def refused_unasked(envelope: Envelope, content: bytes, offers: Offers) -> dict[int, Reply]:
    """Who cannot be served by an upstream with these *offers*, and why."""
    everybody = envelope.recipients
    if offers.size and _octets_sent(content) > offers.size:
        return _all(everybody, TOO_LARGE)  # RFC 1870 §6.2
    if envelope.require_tls and not offers.require_tls:
        return _all(everybody, NEEDS_TLS)  # RFC 8689 §4.2.1
    if envelope.by_seconds is not None and envelope.by_seconds <= 0 and envelope.is_returned_when_late:
        return _all(everybody, TOO_LATE)  # RFC 2852 §4.1.3
    is_ascii = content.isascii()
    if not is_ascii and not offers.eight_bit:
        # RFC 6152 §3; what could be made 7-bit was (see `fitted`), and a header never can.
        return _all(everybody, NEEDS_8BITMIME if _header(content).isascii() else NEEDS_SMTPUTF8)
    if offers.smtputf8 or not _needs_smtputf8(envelope):
        return {}
    # RFC 6531 §3.2: such an address, or such a header, is never sent to who does not know of it.
    if not _can_be_told(envelope.sender) or not (is_ascii or _header(content).isascii()):
        return _all(everybody, NEEDS_SMTPUTF8)
    return {r.number: NEEDS_SMTPUTF8 for r in everybody if not _can_be_told(r.address)}


def unfit(refused: Mapping[int, Reply]) -> frozenset[int]:
    """Those of the *refused* whom an upstream with other offers may serve: not if it is too late anyhow."""
    return frozenset([number for number, reply in refused.items() if reply is not TOO_LATE])


def mail_command(envelope: Envelope, content: bytes, priority: Priority, offers: Offers) -> bytes:
    """MAIL with all that the upstream understands of what it should know."""
    words = [f"MAIL FROM:<{_spelled(envelope.sender, offers)}>"]
    if offers.size is not None:
        words.append(f"SIZE={_octets_sent(content)}")
    if offers.eight_bit and not content.isascii():
        words.append("BODY=8BITMIME")
    if offers.smtputf8 and _needs_smtputf8(envelope):
        words.append("SMTPUTF8")
    if offers.dsn and envelope.ret:
        words.append(f"RET={envelope.ret}")
    if offers.dsn and envelope.envid:
        words.append(f"ENVID={envelope.envid}")
    if offers.mt_priority and (value := _mt_priority(envelope, priority)):
        words.append(f"MT-PRIORITY={value}")
    if offers.deliver_by and envelope.by_seconds is not None:
        words.append(f"BY={envelope.by_seconds};{envelope.by_mode}")
    if offers.require_tls and envelope.require_tls:
        words.append("REQUIRETLS")
    return f"{' '.join(words)}\r\n".encode()


def rcpt_command(recipient: Recipient, offers: Offers) -> bytes:
    """RCPT; NOTIFY and ORCPT exactly as the client gave them (RFC 3461 §4.1, §4.2)."""
    command = f"RCPT TO:<{_spelled(recipient.address, offers)}>"
    if offers.dsn and recipient.notify:
        command += f" NOTIFY={recipient.notify}"
    if offers.dsn and recipient.orcpt:
        command += f" ORCPT={recipient.orcpt if offers.smtputf8 else ascii_orcpt(recipient.orcpt)}"
    return f"{command}\r\n".encode()


def _mt_priority(envelope: Envelope, priority: Priority) -> int:
    named = envelope.mt_priority
    # What the client named only counts if it is what it was given: it may have been capped.
    if named is not None and from_mt_priority(named) == priority:
        return named
    return to_mt_priority(priority)


def _spelled(address: Address, offers: Offers) -> str:
    """*address* as this upstream can read it."""
    return str(address) if offers.smtputf8 else address.plainest


def _needs_smtputf8(envelope: Envelope) -> bool:
    """Whether the client said so, or an address put in by us (an archive's) is not ASCII."""
    return (
        envelope.smtputf8
        or not envelope.sender.is_ascii
        or not all(r.address.is_ascii for r in envelope.recipients)
    )


def _can_be_told(address: Address) -> bool:
    return address.local.isascii()


def _octets_sent(content: bytes) -> int:
    """What its size is to an upstream (RFC 1870 §3): a last line without an end gets one."""
    return len(content) + (0 if not content or content.endswith(b"\r\n") else 2)


def _header(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[0]


def _all(recipients: Iterable[Recipient], reply: Reply) -> dict[int, Reply]:
    return {r.number: reply for r in recipients}
