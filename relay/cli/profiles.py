"""What the options of `user add` and `user edit` make of a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import typer

from relay.accounts.profile import Profile
from relay.mail.address import Address, BadAddress
from relay.mail.priority import Priority
from relay.policy.decision import Mismatch
from relay.policy.grants import parse_patterns
from relay.quantities import read_number

T = TypeVar("T")
NONE = "none"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as they were given; None: not given, and left as it is."""

    senders: Sequence[str] | None = None
    priority: int | None = None
    highest_priority: str | None = None
    contact: str | None = None
    default_sender: str | None = None
    mismatch: str | None = None
    notes: str | None = None
    max_message: str | None = None
    max_recipients: str | None = None
    more_senders: Sequence[str] | None = None
    fewer_senders: Sequence[str] | None = None

    def applied_to(self, profile: Profile) -> Profile:
        """Return *profile* with what is wanted.  Raises typer's BadParameter, or policy's BadPattern."""
        changes: dict[str, Any] = {"patterns": self._patterns(profile.patterns)}
        if self.priority is not None:
            changes["default_priority"] = Priority(self.priority)
        if self.highest_priority is not None:
            changes["highest_priority"] = _or_none(self.highest_priority, _level, "--highest-priority")
        if self.contact is not None:
            changes["contact_address"] = _or_none(self.contact, Address.parse, "--contact")
        if self.default_sender is not None:
            changes["default_sender"] = _or_none(self.default_sender, Address.parse, "--default-sender")
        if self.mismatch is not None:
            changes["mismatch"] = Mismatch(self.mismatch)
        if self.notes is not None:
            changes["notes"] = self.notes
        limits = profile.limits
        if self.max_message is not None:
            limits = replace(limits, max_message_bytes=_or_none(self.max_message, _positive, "--max-message"))
        if self.max_recipients is not None:
            limits = replace(
                limits, max_recipients=_or_none(self.max_recipients, _positive, "--max-recipients")
            )
        return replace(profile, limits=limits, **changes)

    def _patterns(self, held: tuple[str, ...]) -> tuple[str, ...]:
        kept = set(held) if self.senders is None else set(_read(self.senders))
        gone = set(_read(self.fewer_senders or ()))
        if missing := gone - kept:
            raise typer.BadParameter(
                f"{', '.join(sorted(missing))} is not granted to the user.", param_hint="--remove-sender"
            )
        return tuple(sorted((kept - gone) | set(_read(self.more_senders or ()))))


def _read(patterns: Sequence[str]) -> tuple[str, ...]:
    return parse_patterns(",".join(patterns))


def _or_none(text: str, read: Callable[[str], T], option: str) -> T | None:
    try:
        return None if text == NONE else read(text)
    except BadAddress as fault:
        raise typer.BadParameter(f'"{text}" is no e-mail address: {fault}.', param_hint=option) from None
    except ValueError:
        raise typer.BadParameter(
            f'"{text}" will not do; give a number as --help says, or none.', param_hint=option
        ) from None


def _level(text: str) -> Priority:
    return Priority(int(text))


def _positive(text: str) -> int:
    number = read_number(text)
    if number < 1:
        raise ValueError(text)
    return number
