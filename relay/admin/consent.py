"""The page that a consent letter links to: the owner of an address says whether a user may send as it.

Looking at it decides nothing, for mail scanners open every link; only the button does.  Who has the
token reads the address's mail, and that is all that is asked of him: there is no login and no cookie.
"""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from relay import log
from relay.accounts.sender_requests import (
    Confirmation,
    NoSuchRequest,
    SenderRequest,
    State,
    confirm,
    find_linked,
)
from relay.admin.house import House, TheHouse
from relay.admin.page import page
from relay.db.audit import Author
from relay.mail.dates import date_text
from relay.notify.sender_requests import CONSENT_PATH
from relay.queue.granted import Regrant, release_granted

router = APIRouter()

_PATH = f"{CONSENT_PATH}{{token}}"

_QUESTION = """\
<dl>
<div><dt>Who asks</dt><dd>{user}</dd></div>
<div><dt>Wants to send as</dt><dd>{address}</dd></div>
<div><dt>Mail server</dt><dd>{hostname}</dd></div>
<div><dt>Asked</dt><dd>{asked}</dd></div>
</dl>
<p>If you agree, {user} may send mail with your address as its sender, until whoever runs the server takes
that back.</p>
<form method="post"><button>Yes, {user} may send as {address}</button></form>
<p class="soft">If you do not know of this, close this page: without your consent no such mail is sent.</p>
"""
_AGREED = """\
<p>{user} may send mail as {address} now. Mail that waited for this goes out.</p>
<p class="soft">You can close this page. To take it back, ask whoever runs {hostname}.</p>
"""
_WAS_AGREED = """\
<p>It was agreed already that {user} may send mail as {address}; the link has done what it was for.</p>
<p class="soft">To take it back, ask whoever runs {hostname}.</p>
"""
_DECLINED = """\
<p>Whoever runs {hostname} decided already that {user} may not send mail as {address}. Nothing is left for
you to do.</p>
"""
_OVER = """\
<p>This link was good for a week, and that is over: {user} may not send mail as {address}. If you would
have agreed, let {user} ask again.</p>
"""
_UNKNOWN = """\
<p>No question belongs to this link. It may be cut off: copy it from the letter as a whole. Or a later
letter about the same question has taken its place: use the link in that one.</p>
"""


@router.get(_PATH)
async def ask(token: str, house: TheHouse) -> HTMLResponse:
    """Show who asks for what."""
    return _shown(await house.db.read(find_linked, token), house)


@router.post(_PATH)
async def agree(token: str, house: TheHouse) -> HTMLResponse:
    """Grant what the owner of the address agreed to, and let flow what was held for lack of it."""
    linked = await house.db.read(find_linked, token)
    if linked is None or not linked.is_link_good(house.clock.now()):
        return _shown(linked, house)
    by = Author(f"link:{linked.address}", house.clock.now(), house.new_id)
    try:
        agreed = await house.db.write(confirm, Confirmation(by, token))
    except NoSuchRequest:  # somebody was faster
        return _shown(await house.db.read(find_linked, token), house)
    log.sender_agreed_to(user=agreed.user, sender=agreed.address, released=await _release(agreed, house))
    return page("Thank you", _filled(_AGREED, agreed, house))


async def _release(agreed: SenderRequest, house: House) -> int:
    """Let held mail flow; return how many deliveries."""
    total, after = 0, ""
    while True:
        released = await house.db.write(release_granted, Regrant(agreed.user, house.clock.now(), after))
        total += released.deliveries
        if released.after is None:
            return total
        after = released.after


def _shown(linked: SenderRequest | None, house: House) -> HTMLResponse:
    if linked is None:
        return page("This link leads nowhere", _UNKNOWN, status=404)
    if linked.is_link_good(house.clock.now()):
        return page("May mail be sent with your address?", _filled(_QUESTION, linked, house))
    title, words = {
        State.APPROVED: ("This link was used already", _WAS_AGREED),
        State.DECLINED: ("This was decided already", _DECLINED),
        State.OPEN: ("This link is too old", _OVER),
    }[linked.state]
    return page(title, _filled(words, linked, house), status=410)


def _filled(words: str, linked: SenderRequest, house: House) -> str:
    return words.format(
        user=escape(linked.user),
        address=escape(linked.address),
        hostname=escape(house.config.hostname),
        asked=escape(date_text(linked.requested_at)),
    )
