"""Reports as tests make them and take them apart."""

import email
from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any

from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.notify.report import Action, Fate, compose_report
from relay.queue.items import Acceptance, Claimed, DeliveryKey, Lease, Origin
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import CONTENT, make_envelope, new_id

NO_SUCH_USER = Reply(550, "1.1", "No such user here")
REMOTE = "mx.example.net [192.0.2.25]:25"


def claimed(**facts: Any) -> Claimed:
    envelope = facts.pop("envelope", None) or make_envelope(**facts)
    accepted = NOON - timedelta(hours=3)
    return Claimed(
        key=DeliveryKey("01MESSAGE", 1),
        number=1,
        route_id="default",
        priority=Priority.NORMAL,
        rank_at=accepted,
        accepted_at=accepted,
        expires_at=accepted + timedelta(days=4),
        lease=Lease("node/0", NOON),
        origin=Origin.SUBMISSION,
        user_id="01USER",
        octets=len(CONTENT),
        envelope=envelope,
    )


def bounced(
    *fates: Fate, action: Action = Action.FAILED, of: Claimed | None = None, content: bytes = CONTENT
) -> Acceptance | None:
    def route_of(envelope: Envelope, user_id: str | None) -> Mapping[str, tuple[int, ...]]:
        assert user_id == "01USER"
        return {"way-back": tuple(recipient.number for recipient in envelope.recipients)}

    of = of or claimed()
    return compose_report(
        of,
        fates or [Fate(of.envelope.recipients[0], NO_SUCH_USER, REMOTE)],
        action=action,
        content=content,
        hostname="mx.example.com",
        now=NOON,
        new_id=new_id,
        settings=Settings(),
        route_of=route_of,
    )


def parts_of(bounce: Acceptance | None) -> tuple[EmailMessage, str, list[EmailMessage], EmailMessage]:
    """The report: the whole of it, its text, its groups of fields, what came back."""
    assert bounce is not None
    whole = email.message_from_bytes(bounce.content, policy=default)
    assert isinstance(whole, EmailMessage)
    assert not whole.defects
    text, status, returned = whole.iter_parts()
    assert isinstance(returned, EmailMessage)
    groups = status.get_payload()
    return whole, text.get_content(), list(groups), returned
