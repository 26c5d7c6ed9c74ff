"""RCPT TO (RFC 5321 §4.1.1.3): one more recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.address import Address, BadAddress
from relay.mail.envelope import Recipient
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.extensions import BadParameter, rcpt_parameters
from relay.submission.path import split_path
from relay.submission.replies import as_reply

if TYPE_CHECKING:
    from relay.submission.server import Server


async def rcpt(server: Server, argument: str) -> Reply:
    """Note the recipient, once the handler agrees."""
    transaction = server.envelope
    if transaction.sender is None:
        return replies.MAIL_FIRST
    reply = await _recipient(server, argument)
    if not reply.is_success:
        transaction.has_refused_recipients = True
    return reply


async def _recipient(server: Server, argument: str) -> Reply:
    transaction = server.envelope
    found = split_path("TO:", argument)
    if found is None:
        return replies.BAD_RCPT
    path, parameters = found
    try:
        address = Address.parse_path(path)
        options = rcpt_parameters(server, parameters)
    except BadAddress as fault:
        return replies.BAD_RECIPIENT.saying(f"Bad recipient address: {fault}")
    except BadParameter as fault:
        return fault.reply
    if address is Address.NULL:
        return replies.BAD_RECIPIENT
    if not address.is_ascii and not transaction.parameters.get("smtputf8"):
        return replies.NEEDS_SMTPUTF8
    recipient = Recipient(len(transaction.recipients) + 1, address, **options)
    if transaction.has(recipient):
        return replies.RECIPIENT_OK  # who is named in To and in Cc gets one copy
    transaction.add(recipient)
    said_as = str(address)
    reply = as_reply(await server.hook("RCPT", said_as, parameters)) or replies.RECIPIENT_OK
    if reply.is_success:
        transaction.rcpt_tos.append(said_as)
    else:
        transaction.withdraw_last()
    return reply
