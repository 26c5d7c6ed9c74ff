"""What an operator says of a user: pure values, and what makes no sense in them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.mail.rewriting import NO_REWRITE, Rewrite
from relay.mail.rewriting import checked as checked_rewrite
from relay.mail.rewriting import to_members as rewrite_members
from relay.policy.decision import Mismatch
from relay.policy.grants import Grants, parse_patterns
from relay.policy.limits import Limits, from_members, to_members

MAX_NAME_LENGTH = 255
_NO_LIMITS = Limits()


class BadAccount(ValueError):
    """An account cannot be so; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Profile:
    """All of a user that can be changed, but for the password.

    `patterns` are sender patterns as `policy.grants` reads them; `default_sender` is what a foreign
    From becomes where `mismatch` is REWRITE; notifications to the user go to `contact_address`;
    `rewrite` says how its mail is changed before it is sent.
    """

    patterns: tuple[str, ...] = ()
    is_active: bool = True
    default_priority: Priority = Priority.NORMAL
    highest_priority: Priority | None = None
    mismatch: Mismatch = Mismatch.REJECT
    default_sender: Address | None = None
    contact_address: Address | None = None
    notes: str = ""
    limits: Limits = _NO_LIMITS
    rewrite: Rewrite = NO_REWRITE


def fold_name(name: str) -> str:
    """Return the form of a login name that it is stored and compared in.

    Raises BadAccount if no client could log in with it.
    """
    folded = folded_name(name)
    if not 0 < len(folded) <= MAX_NAME_LENGTH:
        raise BadAccount(f"A user name has 1 to {MAX_NAME_LENGTH} characters.")
    if not folded.isprintable() or any(c.isspace() for c in folded):
        raise BadAccount(
            "A user name is one word or an e-mail address: without spaces or control characters."
        )
    return folded


def folded_name(name: str) -> str:
    """Return the form in which *name* is compared with others, also where nobody can be called so."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


def is_same_name(one: str, other: str) -> bool:
    """Whether both are names of the same user."""
    try:
        return fold_name(one) == fold_name(other)
    except BadAccount:
        return False


def checked(profile: Profile) -> Profile:
    """Return *profile* with its patterns folded.

    Raises BadAccount if it contradicts itself, policy's BadPattern, and rewriting's BadRewrite.
    """
    profile = replace(profile, patterns=parse_patterns(profile.patterns))
    highest = profile.highest_priority
    if highest is not None and profile.default_priority < highest:
        raise BadAccount(
            f"The default priority {profile.default_priority} is above the highest allowed, {highest} "
            "(1 is the highest)."
        )
    sender = profile.default_sender
    if profile.mismatch is Mismatch.REWRITE and sender is None:
        raise BadAccount("To rewrite a foreign sender, the user needs a default sender to rewrite it to.")
    if sender is not None and not Grants(profile.patterns).allow(sender):
        raise BadAccount(f"The default sender {sender} is not among the senders granted to the user.")
    forced = checked_rewrite(profile.rewrite).from_address
    if forced is not None and not Grants(profile.patterns).allow(forced):
        raise BadAccount(f"The sender {forced} is not among the senders granted to the user.")
    return profile


def warnings(profile: Profile) -> tuple[str, ...]:
    """What is allowed but probably not meant."""
    if profile.is_active and not profile.patterns:
        return ("The user has no sender pattern: it can log in, but send nothing.",)
    return ()


def difference(before: Profile, after: Profile) -> Mapping[str, Any]:
    """What changed, as the audit trail keeps it: {field: [old, new]}."""
    changed = {}
    for f in fields(Profile):
        old, new = getattr(before, f.name), getattr(after, f.name)
        if old != new:
            changed[f.name] = [_plain(old), _plain(new)]
    return changed


def _plain(value: Any) -> Any:
    match value:
        case Address():
            return str(value)
        case Limits():
            return to_members(value)
        case Rewrite():
            return rewrite_members(value)
        case _:
            return value


def limits_from_text(text: str) -> Limits:
    """Read limits as `limits_to_text` wrote them; members that this version does not know say nothing."""
    return from_members(json.loads(text))


def limits_to_text(limits: Limits) -> str:
    """Write limits as JSON, only those that are set."""
    return json.dumps(to_members(limits))
