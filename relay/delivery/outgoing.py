"""The last hand on a letter: changed as user and upstream want it, then signed for its domain.

This happens once for each attempt, because only then is it known which upstream it goes to.  Where
nobody asked for anything it costs nothing.  What users sent stays in the queue as it was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from relay import log
from relay.delivery.rules import Rules
from relay.delivery.stationery import Stationery
from relay.delivery.transports.parameters import Offers, fitted
from relay.mail.dkim import Signer, body_hash, signature_field
from relay.mail.header import Header, scan
from relay.mail.mailbox import BadMailbox, parse_senders
from relay.mail.rewriting import Rewrite, rewritten
from relay.queue.items import Claimed, Origin
from relay.routing.upstreams import Upstream

_AT_ONCE = 128 * 1024  # octets of a letter that is worked on without a thread: a millisecond at most
_MOST_REMEMBERED = 1000  # signatures, of one to two kilobytes each

Keys = tuple[Callable[[], Signer], ...]


class Letter(NamedTuple):
    """A message as it is to be sent; `left_alone` says what was wanted and not done, and why.

    `needs_smtputf8`, although the client said nothing of it: an address that was put in is not ASCII.
    """

    content: bytes
    is_changed: bool = False
    left_alone: str | None = None
    needs_smtputf8: bool = False


class _Order(NamedTuple):
    """What decides on a letter, so that it comes out the same for each part and each attempt."""

    message_id: str
    rules: tuple[Rewrite, ...]
    with_letterhead: bool
    is_eight_bit: bool


class Outgoing:
    """Gives letters what they are to have, and remembers the signatures that it made."""

    def __init__(self) -> None:
        self._signatures: OrderedDict[tuple[_Order, Keys], bytes] = OrderedDict()

    async def letter(
        self,
        claimed: Claimed,
        content: bytes,
        upstream: Upstream,
        offers: Offers,
        rules: Rules,
        now: datetime,
    ) -> Letter:
        """The message of *claimed* as *upstream*, which makes these *offers*, is to get it."""
        stationery = rules.stationery
        own = stationery.rewrites.get(claimed.user_id) if claimed.user_id else None
        if not (own or upstream.rewrite or stationery.signers) or claimed.origin is Origin.ARCHIVE:
            return Letter(content)  # an archive gets what others got
        order = _Order(
            claimed.key.message_id,
            tuple(rule for rule in (own, upstream.rewrite) if rule),
            claimed.origin is Origin.SUBMISSION,
            offers.eight_bit,
        )
        if len(content) <= _AT_ONCE:
            letter = self._finished(order, content, offers, stationery, now)
        else:
            letter = await asyncio.to_thread(self._finished, order, content, offers, stationery, now)
        if letter.left_alone:
            log.left_alone(delivery=str(claimed.key), upstream=upstream.name, reason=letter.left_alone)
        return letter

    def _finished(
        self, order: _Order, content: bytes, offers: Offers, stationery: Stationery, now: datetime
    ) -> Letter:
        found = rewritten(content, order.rules, with_letterhead=order.with_letterhead)
        changed, left_alone, needs_smtputf8 = found
        try:
            signed = self._signed(order, changed, offers, stationery, now)
        except ValueError as fault:  # no key opens it, or the header is none: it goes as it is
            signed, left_alone = changed, "; ".join(filter(None, (left_alone, f"signature: {fault}")))
        return Letter(signed, signed is not content, left_alone, needs_smtputf8)

    def _signed(
        self, order: _Order, content: bytes, offers: Offers, stationery: Stationery, now: datetime
    ) -> bytes:
        """*content* signed for the domain of its From, if there is a key for it and it would last."""
        if not (stationery.signers and offers.is_verbatim):
            return content
        header = scan(content)
        keys = _keys_for(header, stationery)
        if not keys:
            return content
        # What is signed must be what is sent: encoded first, where the upstream wants that.
        fit = fitted(content, offers)
        fields = self._signatures.get((order, keys))
        if fields is None:
            header = header if fit is content else scan(fit)
            hashed = body_hash(fit[header.end + 2 :])
            fields = b"".join(signature_field(header, hashed, key(), now) for key in keys)
            self._remember((order, keys), fields)
        return fields + fit

    def _remember(self, key: tuple[_Order, Keys], fields: bytes) -> None:
        self._signatures[key] = fields
        while len(self._signatures) > _MOST_REMEMBERED:
            self._signatures.popitem(last=False)


def _keys_for(header: Header, stationery: Stationery) -> Keys:
    """Who signs for the domain of From; nobody if that cannot be read in only one way, or names several."""
    found = header.all("from")
    try:
        senders = parse_senders(found[0].value) if len(found) == 1 else ()
    except BadMailbox:
        return ()
    domains = {sender.address.domain_key for sender in senders}
    return stationery.signers.get(domains.pop(), ()) if len(domains) == 1 else ()
