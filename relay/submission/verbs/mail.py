"""MAIL FROM (RFC 5321 §4.1.1.2): a transaction begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.mail.address import Address, BadAddress
from relay.mail.reply import Reply
from relay.submission import replies
from relay.submission.extensions import BadParameter, mail_parameters
from relay.submission.path import split_path
from relay.submission.replies import as_reply
from relay.submission.trust import let_in

if TYPE_CHECKING:
    from relay.submission.server import Server


async def mail(server: Server, argument: str) -> Reply:
    """Note the sender and the parameters, once the handler agrees."""
    if server.envelope.sender is not None:
        return replies.NESTED_MAIL
    if server.session.user is None and (refusal := await let_in(server)) is not None:
        return refusal
    found = split_path("FROM:", argument)
    if found is None:
        return replies.BAD_MAIL
    path, parameters = found
    try:
        sender = Address.parse_path(path)
        options = mail_parameters(server, parameters)
    except BadAddress as fault:
        return replies.BAD_SENDER.saying(f"Bad sender address: {fault}")
    except BadParameter as fault:
        return fault.reply
    if not sender.is_ascii and not options.get("smtputf8"):
        return replies.NEEDS_SMTPUTF8
    transaction = server.envelope
    transaction.sender = sender
    transaction.chunk_refusal = None  # of a chunk that came when there was no transaction
    transaction.ask(**options)
    address = str(sender)
    reply = as_reply(await server.hook("MAIL", address, parameters)) or replies.SENDER_OK
    if reply.is_success:
        transaction.mail_from = address
        transaction.mail_options.extend(parameters)
    else:
        server.begin_transaction()
    return reply
