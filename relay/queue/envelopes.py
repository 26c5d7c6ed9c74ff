"""How an envelope lies in the tables: columns for what every message has, JSON for what few ask for."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from relay.mail.address import Address
from relay.mail.envelope import Body, Envelope, Recipient


def options_of(envelope: Envelope) -> str | None:
    """Write what the client asked for beyond sender, BODY and SMTPUTF8 as JSON; None if it did not.

    SIZE is not kept: it was the client's guess, and the message is here now.
    """
    asked = {
        "ret": envelope.ret,
        "envid": envelope.envid,
        "mt_priority": envelope.mt_priority,
        "hold_until": envelope.hold_until and envelope.hold_until.isoformat(),
        "deliver_by": envelope.deliver_by and envelope.deliver_by.isoformat(),
        "by_mode": envelope.by_mode,
        "require_tls": envelope.require_tls or None,
        "auth": envelope.auth,
    }
    if not any(value is not None for value in asked.values()):
        return None
    return json.dumps({name: value for name, value in asked.items() if value is not None})


def envelope_of(
    *, sender: str, body: str, smtputf8: bool, options: str | None, recipients: Iterable[Recipient]
) -> Envelope:
    """Put together an envelope from what the tables hold of it."""
    envelope = Envelope(
        sender=address_of(sender), recipients=tuple(recipients), body=Body(body), smtputf8=smtputf8
    )
    return envelope._replace(**_read_options(options)) if options else envelope


def address_of(text: str) -> Address:
    """Read back an address that was parsed before it was stored; "" is the null address."""
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


def _read_options(options: str) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(options)
    for moment in ("hold_until", "deliver_by"):
        if moment in asked:
            asked[moment] = datetime.fromisoformat(asked[moment])
    return asked
