"""relay check-policy: may this be sent, by which rule not, and by which route?  Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import FAILED, Failed
from relay.cli.shown import Cell, Shown, Table, Tone

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from relay.mail.address import Address
    from relay.policy.decision import Decision
    from relay.policy.submission import Submission, User

_TONES = {
    "accept": Tone.GOOD,
    "rewrite": Tone.DOUBTFUL,
    "hold": Tone.DOUBTFUL,
    "refuse": Tone.BAD,
    "reject": Tone.BAD,
}


class Answer(NamedTuple):
    """What one check says when it is asked by itself."""

    stage: str
    check: str
    verdict: str
    why: str


@at_the_desk
def check_policy(
    desk: Desk,
    *,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who would send.")],
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help='The sender on the envelope; "" for none.')
    ],
    to: Annotated[list[str], typer.Option("--to", metavar="ADDRESS", help="A recipient; several: repeat.")],
    header_from: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The From field; else the sender on the envelope.")
    ] = None,
    size: Annotated[str, typer.Option(metavar="SIZE", help="Of the message, such as 10M.")] = "1000",
    client: Annotated[
        str, typer.Option(metavar="ADDRESS", help="From where it would be sent.")
    ] = "127.0.0.1",
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="The tag it would have.")] = None,
    priority: Annotated[
        int | None, typer.Option(min=1, max=5, help="Of the message; else the user's default.")
    ] = None,
) -> Shown:
    """Say whether a message would be taken, and where it would go, without sending it."""
    from relay.mail.envelope import Envelope, Recipient
    from relay.mail.header import BadHeader, scan
    from relay.mail.session import Session
    from relay.policy.submission import Limits, Submission
    from relay.settings import load

    settings = desk.read(load)
    known = _user(desk, user)
    octets = _octets(size)
    recipients = tuple(Recipient(number, _address(text, "--to")) for number, text in enumerate(to, 1))
    shown_from = sender if header_from is None else header_from
    try:
        header = scan(f"From: {shown_from}\r\n\r\n".encode()) if shown_from else scan(b"\r\n")
    except BadHeader as fault:
        raise typer.BadParameter(f"no header can be so: {fault}.", param_hint="--header-from") from None
    submission = Submission(
        session=Session("check", "check-policy", _client(client), user=known.name, user_id=known.id),
        envelope=Envelope(
            _address(sender, "--from"),
            recipients,
            size_declared=octets,
            smtputf8=not all(text.isascii() for text in (sender, shown_from, *to)),
        ),
        user=known,
        limits=Limits(settings.max_message_bytes, settings.max_recipients, settings.max_received_fields),
        header=header,
        octets=octets,
    )
    answers = [*_asked(submission), *desk.read(_quotas, submission, desk.now)]
    outcome = _outcome(submission, answers)
    route = _route(desk, submission, tag, priority)
    document = {"outcome": outcome, "route": route, "checks": [each._asdict() for each in answers]}
    table = Table(
        ("stage", "check", "verdict", "why"),
        [(a.stage, a.check, Cell(a.verdict, _TONES[a.verdict]), a.why) for a in answers],
    )
    return Shown(
        document,
        (table, Cell(f"It would be {_DONE[outcome]}.", _TONES[outcome]), f"Route: {route}."),
        exit_code=FAILED if outcome in {"reject", "refuse"} else 0,
    )


_DONE = {
    "accept": "accepted",
    "rewrite": "accepted, with another sender",
    "hold": "taken, and held",
    "refuse": "refused for now",
    "reject": "refused",
}
_RANK = tuple(_DONE)


def _asked(submission: Submission) -> list[Answer]:
    """Every check of every stage, as the door would ask it: at RCPT once for each recipient."""
    from relay.policy import Stage, explain

    answers = []
    for stage in Stage:
        steps = [submission]
        if stage is Stage.RCPT:
            envelope = submission.envelope
            steps = [
                submission._replace(envelope=envelope._replace(recipients=envelope.recipients[:count]))
                for count in range(1, len(envelope.recipients) + 1)
            ]
        for step in steps:
            asked_of = f" {step.envelope.recipients[-1].address}" if stage is Stage.RCPT else ""
            answers += [
                Answer(stage.value + asked_of, check, *_told(decision))
                for check, decision in explain(stage, step)
            ]
    return answers


def _told(decision: Decision) -> tuple[str, str]:
    from relay.policy.decision import Hold, Omit, Reject, Rewrite

    match decision:
        case Reject():
            return "reject", str(decision.reply)
        case Hold():
            return "hold", decision.reason
        case Omit():
            left_out = ", ".join(str(each.sender) for each in decision.notices)
            return "rewrite", f"From stays, {left_out} is left out"
        case Rewrite():
            return "rewrite", f"the sender becomes {decision.sender}"
        case _:
            notices = ", ".join(f"{each.sender} is not granted" for each in decision.notices)
            return "accept", notices


def _quotas(tx: Connection, submission: Submission, now: datetime) -> list[Answer]:
    from relay.accounts.usage import Usage, used_in
    from relay.queue.metered import counted

    user = submission.user
    cost = Usage(1, len(submission.envelope.recipients), submission.octets)
    answers = []
    for quota in user.limits.quotas:
        used = counted(used_in(tx, user.id, quota.window, now), quota.unit)
        is_beyond = quota.is_exceeded_by(used + counted(cost, quota.unit))
        verdict = user.limits.beyond.value if is_beyond else "accept"
        answers.append(Answer("commit", quota.name, verdict, f"{used} of {quota.most} used"))
    return answers


def _outcome(submission: Submission, answers: list[Answer]) -> str:
    """The strictest answer is the door's; policy itself is asked once more, that the two cannot differ."""
    from relay.policy import Stage, decide

    decided = {_told(decide(stage, submission))[0] for stage in Stage}
    return max(decided | {answer.verdict for answer in answers}, key=_RANK.index)


def _route(desk: Desk, submission: Submission, tag: str | None, asked: int | None) -> str:
    """Where it would go: each route with its upstreams, and with its recipients if there are several."""
    from relay.mail.priority import Priority, combine
    from relay.routing.routes import NoRoute, load, plan

    table, envelope, user = desk.read(load, desk.sealer), submission.envelope, submission.user
    named = () if asked is None else (Priority(asked),)
    priority = combine(user.default_priority, named, user.highest_priority)
    try:
        planned = plan(table, envelope, user.id, tag=tag, priority=priority, octets=submission.octets)
    except NoRoute as fault:
        return str(fault).rstrip(".")
    told = []
    for route_id, numbers in planned.items():
        route = table.route(route_id)
        if route is not None:
            names = ", ".join(upstream.name for upstream in table.upstreams_of(route)) or "all off"
            to = ", ".join(str(r.address) for r in envelope.recipients if r.number in numbers)
            told.append(f"{route.name} ({names})" + (f" for {to}" if len(planned) > 1 else ""))
    return "; ".join(told)


def _user(desk: Desk, name: str) -> User:
    from relay.accounts.credentials import load_login
    from relay.accounts.users import find

    account = desk.read(find, name)
    login = desk.read(load_login, account.name, desk.now)
    if login is None or not login.is_active:
        raise Failed(f'"{account.name}" may not log in: "relay user enable {account.name}" first.')
    return login.user


def _address(text: str, option: str) -> Address:
    from relay.mail.address import Address, BadAddress

    try:
        return Address.parse_path(text) if option == "--from" else Address.parse(text)
    except BadAddress as fault:
        raise typer.BadParameter(f'"{text}" is no e-mail address: {fault}.', param_hint=option) from None


def _client(text: str) -> str:
    """The address of a client, as the door would write it."""
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        told = f'"{text}" is no address such as 192.0.2.7.'
        raise typer.BadParameter(told, param_hint="--client") from None


def _octets(text: str) -> int:
    from relay.quantities import read_number

    try:
        return read_number(text)
    except ValueError:
        raise typer.BadParameter(f'"{text}" is no size; write 10M.', param_hint="--size") from None
