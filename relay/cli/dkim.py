"""relay dkim …: the keys that mail is signed with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from relay.cli.asking import confirm
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import OK, UNAVAILABLE, USAGE, Failed
from relay.cli.printing import moment
from relay.cli.shown import Cell, Fields, Part, Shown, Table, Tone

if TYPE_CHECKING:
    from relay.mail.dkim import Algorithm
    from relay.routing.dkim_keys import Key

app = typer.Typer(no_args_is_help=True, help="The keys that mail is signed with (DKIM).")

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain of the From of the mail.")]
Selector = Annotated[str, typer.Option(metavar="NAME", help="Only the key of this selector.")]
Which = Annotated[
    Literal["rsa", "ed25519", "both"],
    typer.Option(
        "--algorithm", help="rsa: what everybody verifies; both: a second signature that is shorter."
    ),
]
Now = Annotated[bool, typer.Option("--now", help="Sign at once, before the record was seen in DNS.")]

_TONES = {"new": Tone.DOUBTFUL, "active": Tone.GOOD, "retired": Tone.QUIET}


@app.command("add")
@at_the_desk
def add(
    desk: Desk,
    domain: Domain,
    *,
    selector: Annotated[
        str, typer.Option(metavar="NAME", help="Its selector; by the day if not given.")
    ] = "",
    algorithm: Which = "rsa",
    now: Now = False,
) -> Shown:
    """Make a key. It signs once its record was seen in DNS: publish it, then "relay dkim check"."""
    from relay.mail.address import fold_domain
    from relay.routing.dkim_keys import NewKeys, make_keys

    _check_names(fold_domain(domain), selector)
    desk.make()
    order = NewKeys(desk.author, desk.sealer, domain, _algorithms(algorithm), selector.lower(), is_active=now)
    made = desk.write(make_keys, order)
    return Shown([_document(key) for key in made], (*_records(made), _what_next(made)))


@app.command("list")
@at_the_desk
def list_keys(desk: Desk) -> Shown:
    """List all keys."""
    from relay.routing.dkim_keys import all_keys

    found = desk.read(all_keys)
    rows = [
        (
            Cell(key.domain, Tone.STRONG),
            key.selector,
            key.algorithm.value,
            Cell(key.state.value, _TONES[key.state.value]),
            moment(key.created_at),
            moment(key.checked_at) if key.checked_at else "never",
            key.check_detail or "",
        )
        for key in found
    ]
    headings = ("domain", "selector", "algorithm", "state", "made", "checked", "the record")
    nothing = 'No mail is signed yet: "relay dkim add DOMAIN".'
    return Shown([_document(key) for key in found], (Table(headings, rows) if rows else nothing,))


@app.command("show")
@at_the_desk
def show(desk: Desk, domain: Domain, *, selector: Selector = "") -> Shown:
    """Show the DNS records to publish."""
    from relay.routing.dkim_keys import keys_of

    found = desk.read(keys_of, domain, selector)
    return Shown([_document(key) for key in found], tuple(_records(found)))


@app.command("check")
@at_the_desk
def check(
    desk: Desk,
    domain: Domain,
    *,
    selector: Selector = "",
    resolver: Annotated[
        str, typer.Option(metavar="ADDRESS[:PORT]", help="Ask this name server; else those of this machine.")
    ] = "",
) -> Shown:
    """Look the records up in DNS; a new key whose record is right begins to sign."""
    from relay.delivery.dkim_check import Verdict, check_record
    from relay.delivery.resolver import Resolver
    from relay.routing.dkim_keys import Looked, keys_of, note_look
    from relay.routing.name_server import NameServer

    found = [key for key in desk.read(keys_of, domain, selector) if selector or key.state.value != "retired"]
    if not found:
        raise Failed(f'{domain} has no key in use: "relay dkim add {domain}".')
    asking = Resolver(NameServer.parse(resolver) if resolver else None)

    async def looked_up() -> list[Verdict]:
        return [await check_record(key, asking) for key in found]

    verdicts = asyncio.run(looked_up())
    noted = [
        desk.write(note_look, Looked(desk.author, key.domain, key.selector, verdict.is_good, verdict.told))
        for key, verdict in zip(found, verdicts, strict=True)
    ]
    parts = [
        Cell(f"{key.record_name}: {verdict.told}", Tone.GOOD if verdict.is_good else Tone.BAD)
        for key, verdict in zip(noted, verdicts, strict=True)
    ]
    began = [
        f"It signs from now on: {key.record_name}."
        for before, key in zip(found, noted, strict=True)
        if before.state is not key.state
    ]
    is_good = all(verdict.is_good for verdict in verdicts)
    return Shown(
        [_document(key) for key in noted], (*parts, *began), exit_code=OK if is_good else UNAVAILABLE
    )


@app.command("rotate")
@at_the_desk
def rotate(desk: Desk, domain: Domain, *, now: Now = False) -> Shown:
    """Make new keys in place of those in use, which sign until the new ones' records were seen."""
    from relay.routing.dkim_keys import NewKeys, make_keys

    made = desk.write(make_keys, NewKeys(desk.author, desk.sealer, domain, is_active=now, is_rotation=True))
    return Shown([_document(key) for key in made], (*_records(made), _what_next(made)))


@app.command("enable")
@at_the_desk
def enable(desk: Desk, domain: Domain, *, selector: Selector = "") -> Shown:
    """Sign with a key, whatever DNS says; the one of its kind that signed so far is retired."""
    from relay.routing.dkim_keys import State

    return _turned(desk, domain, selector, State.ACTIVE)


@app.command("disable")
@at_the_desk
def disable(desk: Desk, domain: Domain, *, selector: Selector = "") -> Shown:
    """Sign no more with a key; leave its record for some days, for the mail that is under way."""
    from relay.routing.dkim_keys import State

    return _turned(desk, domain, selector, State.RETIRED)


@app.command("delete")
@at_the_desk
def delete(
    desk: Desk,
    domain: Domain,
    *,
    selector: Selector = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Shown:
    """Delete a key, or all of a domain."""
    from relay.routing.dkim_keys import Removal, keys_of, remove_keys

    found = desk.read(keys_of, domain, selector)
    names = ", ".join(key.record_name for key in found)
    confirm(f"For good: {names} will be deleted.", is_sure=yes)
    desk.write(remove_keys, Removal(desk.author, domain, selector))
    return Shown({"deleted": [key.record_name for key in found]}, (f"Deleted: {names}.",))


def _turned(desk: Desk, domain: str, selector: str, state: Any) -> Shown:
    from relay.routing.dkim_keys import State, Turn, keys_of, turn

    found = desk.read(keys_of, domain, selector)
    if state is State.ACTIVE and len({key.algorithm for key in found}) < len(found):
        raise Failed("Say which of the keys, with --selector.", USAGE)
    turned = desk.write(turn, Turn(desk.author, domain, selector, state))
    told = "signs from now on" if state is State.ACTIVE else "signs no more"
    return Shown([_document(key) for key in turned], tuple(f"{key.record_name} {told}." for key in turned))


def _check_names(domain: str, selector: str) -> None:
    from relay.mail.dkim import is_fit_name

    if "." not in domain or not is_fit_name(domain):
        raise typer.BadParameter(f'"{domain}" is no domain.', param_hint="DOMAIN")
    if selector and not is_fit_name(selector):
        raise typer.BadParameter(
            "A selector has letters, digits and dashes, in parts between dots.", param_hint="--selector"
        )


def _algorithms(which: str) -> tuple[Algorithm, ...]:
    from relay.mail.dkim import Algorithm

    if which == "both":
        return (Algorithm.RSA, Algorithm.ED25519)
    return (Algorithm.RSA if which == "rsa" else Algorithm.ED25519,)


def _what_next(made: Sequence[Key]) -> str:
    if all(key.state.value == "active" for key in made):
        return "Mail is signed from now on; publish the record at once."
    return f'Publish it, then "relay dkim check {made[0].domain}": the key signs once it was seen there.'


def _records(found: Sequence[Key]) -> list[Part]:
    from relay.mail.dkim import record_strings

    parts: list[Part] = []
    for key in found:
        strings = " ".join(f'"{string}"' for string in record_strings(key.record_text))
        fields = (
            ("name", Cell(key.record_name, Tone.STRONG)),
            ("type", "TXT"),
            ("value", key.record_text),
            ("state", Cell(key.state.value, _TONES[key.state.value])),
            ("last check", key.check_detail),
        )
        parts += [Fields(fields), "  in a zone file:", f"  {key.record_name}. IN TXT ( {strings} )", ""]
    return parts


def _document(key: Key) -> dict[str, Any]:
    from relay.mail.dkim import record_strings

    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state,
        "record": {
            "name": key.record_name,
            "type": "TXT",
            "value": key.record_text,
            "strings": record_strings(key.record_text),
        },
        "created_at": key.created_at,
        "checked_at": key.checked_at,
        "check_detail": key.check_detail,
    }
