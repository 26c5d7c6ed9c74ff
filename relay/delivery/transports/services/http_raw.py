"""http-raw: the message as it is, posted to a URL of one's own, signed.

    POST <url>
    Content-Type: message/rfc822
    Relay-Envelope: {"from": "ann@example.com", "to": ["bob@example.net"]}
    Relay-Priority: 3
    Relay-Delivery: <64 hexadecimal digits>
    Relay-Timestamp: 1772452800
    Relay-Signature: v1=<64 hexadecimal digits>

The envelope is JSON in ASCII; the priority goes from 1 (very high) to 5; Relay-Delivery is the same
each time the same is tried, so that a duplicate can be dropped; the timestamp is in seconds since 1970.

What the client asked of the road (DSN, DELIVERBY) is in the envelope, too, each as SMTP spells it and only
where it was asked for:

    "ret": "HDRS", "envid": "QQ314159", "by": "300;R",
    "notify": {"bob@example.net": "SUCCESS,DELAY"}, "orcpt": {"bob@example.net": "rfc822;bob@example.org"}

Whoever sees to it says so in the answer, "Relay-Offers: DSN, DELIVERBY"; otherwise we report ourselves.

The signature is HMAC-SHA256, with the upstream's password as the key, of timestamp, LF, the
envelope as it stands in its header, LF, and the body.  Whoever takes the message answers 2xx, and
may then refuse some of the recipients with a body of `{"refused": {"bob@example.net": "550 5.1.1 No
such user"}}`.  400, 413, 415 and 422 refuse the message for good; after any other answer it is tried again.
A test is a request without a body, with the header "Relay-Check: 1": it is answered 2xx, and nothing is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from relay.delivery.transports.parameters import Offers
from relay.delivery.transports.services.base import Parcel, Request, Response, Service, bearer
from relay.mail.reply import Reply
from relay.routing.upstreams import Upstream

_CODED = re.compile(r"([45][0-9]{2})[ -](.*)", re.DOTALL)


class HttpRaw(Service):
    """A service of the operator's own."""

    most_octets = 100 * 1024 * 1024

    def request(self, parcel: Parcel) -> Request:
        """See the top of this file."""
        way = _way_of(parcel)
        envelope = json.dumps(way | _asked_for(parcel))
        # Without what was asked for, since the time that is left is another at each try.
        digest = hashlib.sha256(json.dumps(way).encode() + b"\n" + parcel.content).hexdigest()
        headers = {
            "Content-Type": "message/rfc822",
            "Relay-Envelope": envelope,
            "Relay-Priority": str(int(parcel.priority)),
            "Relay-Delivery": digest,
            **_signed(parcel.secret, envelope, parcel.content, parcel.now),
            **bearer(parcel.token),
        }
        return Request(parcel.upstream.options.url, headers, parcel.content)

    def probe(self, upstream: Upstream, now: datetime, token: str | None) -> Request:
        """A request without a message."""
        secret = upstream.password.reveal() if upstream.password else ""
        headers = {"Relay-Check": "1", **_signed(secret, "", b"", now), **bearer(token)}
        return Request(upstream.options.url, headers)

    def offers(self, response: Response | None = None) -> Offers:
        """What the answer to a message says that is seen to there."""
        told = response.headers.get("relay-offers", "") if response else ""
        words = {word.strip().upper() for word in told.split(",")}
        return replace(super().offers(), dsn="DSN" in words, deliver_by="DELIVERBY" in words)

    def each(self, parcel: Parcel, response: Response) -> Mapping[int, Reply]:
        """Some may be refused although the rest is taken."""
        replies = dict(super().each(parcel, response))
        refused = response.document.get("refused")
        if isinstance(refused, dict):
            by_address = {str(r.address): r.number for r in parcel.recipients}
            for address, words in refused.items():
                if address in by_address:
                    replies[by_address[address]] = _refusal(str(words))
        return replies


def _way_of(parcel: Parcel) -> dict[str, Any]:
    return {"from": str(parcel.envelope.sender), "to": [str(r.address) for r in parcel.recipients]}


def _asked_for(parcel: Parcel) -> dict[str, Any]:
    envelope, recipients = parcel.envelope, parcel.recipients
    found: dict[str, Any] = {
        "ret": envelope.ret,
        "envid": envelope.envid,
        "by": f"{envelope.by_seconds};{envelope.by_mode}" if envelope.by_seconds is not None else None,
        "notify": {str(r.address): r.notify for r in recipients if r.notify},
        "orcpt": {str(r.address): r.orcpt for r in recipients if r.orcpt},
    }
    return {name: value for name, value in found.items() if value}


def signature_of(secret: str, timestamp: int, envelope: str, content: bytes) -> str:
    """The signature of a request, as whoever receives it makes it to compare."""
    signed = f"{timestamp}\n{envelope}\n".encode() + content
    return f"v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}"


def _signed(secret: str, envelope: str, content: bytes, now: datetime) -> Mapping[str, str]:
    timestamp = int(now.timestamp())
    found = {"Relay-Timestamp": str(timestamp)}
    if secret:
        found["Relay-Signature"] = signature_of(secret, timestamp, envelope, content)
    return found


def _refusal(words: str) -> Reply:
    """A refusal in SMTP's words; one in any others is temporary, so that no mail is lost by it."""
    coded = _CODED.fullmatch(words)
    return Reply.parse(int(coded[1]), coded[2].splitlines() or [""]) if coded else Reply.parse(451, [words])
