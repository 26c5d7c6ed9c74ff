"""Asking the owner of an address whether a user may send as it: a letter with a link or a code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from relay.accounts.sender_requests import LINK_LIFETIME, SenderRequest, Wish, raise_requests
from relay.ids import moment_of
from relay.mail.address import Address
from relay.notify.compose import letter, text_entity
from relay.notify.posting import Letter, RouteOf, post
from relay.queue.accept import accept
from relay.queue.items import Acceptance, Origin
from relay.settings import Settings

SUBJECT = "May {user} send mail as {address}?"

TEXT = """\
This is the mail server {hostname}.

Somebody who logs in here as {user} would like to send mail with your address, {address}, as its sender.

If you do not know of this, do nothing: without your consent no such mail is sent.

{how_to_agree}
"""

BY_LINK = """\
If you agree, open this page and press the button on it. It is good once, for {days} days:

    {link}"""

BY_CODE = """\
If you agree, give this code to whoever runs this server. It is good once, for {days} days:

    {token}

(The operator consents for you with "relay sender confirm" and the code.)"""

CONSENT_PATH = "/consent/"
"""What stands between `admin.public_url` and the token in a link."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A wish, and the letter that asks the address about it; none if only an operator shall decide."""

    wish: Wish
    letter: Acceptance | None


def ask(tx: Connection, items: Sequence[Asking]) -> list[SenderRequest]:
    """Note wishes and queue their letters, both or neither.  Raises as `raise_requests` does."""
    raised = raise_requests(tx, [item.wish for item in items])
    accept(tx, [item.letter for item in items if item.letter is not None])
    return raised


def consent_letter(  # noqa: PLR0913  each is a fact of its own
    to: Address,
    user: str,
    token: str,
    *,
    letter_id: str,
    hostname: str,
    public_url: str,
    settings: Settings,
    route_of: RouteOf,
) -> Acceptance:
    """Write the letter that asks *to* whether *user* may send as it; with a link if there is a *public_url*.

    Raises NoRoute.
    """
    now = moment_of(letter_id)
    subject = SUBJECT.format(user=user, address=to)
    how_to_agree = (BY_LINK if public_url else BY_CODE).format(
        days=LINK_LIFETIME.days, token=token, link=f"{public_url}{CONSENT_PATH}{token}"
    )
    text = TEXT.format(hostname=hostname, user=user, address=to, how_to_agree=how_to_agree)
    content = letter(
        text_entity(text),
        letter_id=letter_id,
        to=to,
        subject=subject,
        hostname=hostname,
        now=now,
        automatic="auto-generated",
    )
    return post(
        Letter(letter_id, to, subject, content),
        origin=Origin.NOTICE,
        hostname=hostname,
        now=now,
        settings=settings,
        route_of=route_of,
    )
