"""Which mail a command of `relay queue` is about: the same options for looking at mail and for moving it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

import typer

from relay.cli.desk import Desk
from relay.cli.faults import USAGE, Failed
from relay.cli.shown import Shown

_ID_LENGTH = 26
_PART_LENGTH = 9  # digits: as large as a number may be in the databases

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]…", help="Messages, or deliveries of them (ID-1), by their id."),
]
All = Annotated[bool, typer.Option("--all", help="Everything that this can be done to.")]
OfUser = Annotated[str | None, typer.Option("--user", metavar="NAME", help="Only what this user sent.")]
ToUpstream = Annotated[
    str | None, typer.Option("--upstream", metavar="NAME", help="Only what goes to this upstream.")
]
ByRoute = Annotated[str | None, typer.Option("--route", metavar="NAME", help="Only what takes this route.")]
InState = Annotated[
    Literal["queued", "waiting", "leased", "held"] | None,
    typer.Option("--state", help="Only what is due, waits, is being delivered, or is held."),
]
Level = Annotated[int | None, typer.Option("--priority", min=1, max=5, help="Only mail of this priority.")]
FromSender = Annotated[
    str | None, typer.Option("--sender", metavar="ADDRESS|DOMAIN", help="Only what comes from there.")
]
ToRecipient = Annotated[
    str | None, typer.Option("--recipient", metavar="ADDRESS|DOMAIN", help="Only what is for there.")
]
Tagged = Annotated[str | None, typer.Option("--tag", metavar="TEXT", help="Only what bears this tag.")]
Aged = Annotated[
    str | None,
    typer.Option("--older-than", metavar="DURATION", help='Only what lies here for longer: "2h", "1d 12h".'),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how much mail it would be.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_NARROWING: Mapping[str, tuple[Any, Any]] = {
    "user": (OfUser, None),
    "sender": (FromSender, None),
    "recipient": (ToRecipient, None),
    "upstream": (ToUpstream, None),
    "route": (ByRoute, None),
    "state": (InState, None),
    "priority": (Level, None),
    "tag": (Tagged, None),
    "older_than": (Aged, None),
}
_NAMING: Mapping[str, tuple[Any, Any]] = {"ids": (Ids, None), "everything": (All, False)}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The arguments that say which mail is meant."""

    ids: tuple[str, ...] = ()
    everything: bool = False
    user: str | None = None
    sender: str | None = None
    recipient: str | None = None
    upstream: str | None = None
    route: str | None = None
    state: str | None = None
    priority: int | None = None
    tag: str | None = None
    older_than: str | None = None

    def check(self) -> None:
        """Refuse an order that does not say which mail: "all of it" must be said."""
        if self == Chosen():
            raise Failed("Say which mail: ids, a filter such as --user, or --all.", USAGE)
        for text in self.ids:
            parse_id(text)

    @property
    def named(self) -> dict[str, str | int]:
        """What it was narrowed down by."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NAMING}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be done to mail.

    `action` is its name in the audit trail, and `detail` goes there; `function`, which moves at most
    `at_most` deliveries a call (None: as many as `queue.control`), does it to what `of` makes of a
    Selection, and `counted` says by name how much its result was; `done`, which is given the sum of that,
    and `wanted` end the sentences "3 deliveries …" and "Nothing of that …"; `warning` is said before what
    cannot be taken back.  `sends_again`: mail that has perhaps arrived already is told of; `takes_due`: it is
    also for what is due, so what a process has in its hands already is told of.
    """

    action: str
    function: Callable[[Any, Any], Any]
    of: Callable[[Any], Any]
    done: str | Callable[[Mapping[str, int]], str]
    wanted: str
    warning: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at_most: int | None = None
    sends_again: bool = False
    takes_due: bool = True
    counted: Callable[[Any], Mapping[str, int]] = lambda moved: {"deliveries": moved}


def parse_id(text: str) -> tuple[str, int | None]:
    """Read the id of a message, or of a delivery (the message's, a dash, and the part's number)."""
    message_id, dash, part = text.strip().upper().partition("-")
    is_part = part.isascii() and part.isdecimal() and len(part) <= _PART_LENGTH
    if len(message_id) != _ID_LENGTH or not message_id.isalnum() or (dash and not is_part):
        raise typer.BadParameter(f'"{text}" is no id of a message or delivery.', param_hint="ID")
    return message_id, int(part) if part else None


def narrowing(command: Callable[..., Shown]) -> Callable[..., Shown]:
    """Give *command* the options that narrow the queue down; it gets them as `chosen`."""

    def packed(desk: Desk, given: dict[str, Any]) -> Shown:
        return command(desk, chosen=_chosen(given, _NARROWING), **given)

    return _with_options(command, _NARROWING, packed)


def ordering(command: Callable[..., Order]) -> Callable[..., Shown]:
    """Make *command*, which says what to do, into one that carries it out on the mail that is named."""
    options = {**_NAMING, **_NARROWING, "is_sure": (Yes, False), "is_dry": (DryRun, False)}

    def packed(desk: Desk, given: dict[str, Any]) -> Shown:
        from relay.cli.selecting import carry_out

        is_sure, is_dry = given.pop("is_sure"), given.pop("is_dry")
        chosen = _chosen(given, {**_NAMING, **_NARROWING})
        return carry_out(desk, command(desk, **given), chosen, is_sure=is_sure, is_dry=is_dry)

    return _with_options(command, options, packed)


def _chosen(given: dict[str, Any], options: Mapping[str, object]) -> Chosen:
    named = {name: given.pop(name) for name in options}
    return Chosen(**named | {"ids": tuple(dict.fromkeys(named.get("ids") or ()))})


def _with_options(
    command: Callable[..., Any],
    options: Mapping[str, tuple[Any, Any]],
    packed: Callable[[Desk, dict[str, Any]], Shown],
) -> Callable[..., Shown]:
    """Have *packed* called with what *options* and the command's own say."""
    desk, *own = inspect.signature(command, eval_str=True).parameters.values()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in options.items()
    ]

    @functools.wraps(command)
    def called(desk: Desk, **given: Any) -> Shown:
        return packed(desk, given)

    parameters = [desk, *shared, *(each for each in own if each.name != "chosen")]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called
